"""Recipes of papers: the settings that their tables name, what the user changes, and a step of each."""

import dataclasses
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from algorithm_scene import blobs
from PIL import Image

from ssl_mix.cli.main import main
from ssl_mix.datasets import choose_split
from ssl_mix.models import build_model
from ssl_mix.recipes import GENERAL, RECIPES
from ssl_mix.recipes.build import build_run
from ssl_mix.runs.memory import layer_bytes
from ssl_mix.runs.run import Run

NAMES = [name for name in RECIPES if name not in GENERAL]
ROOT = Path(__file__).parents[2]
# Epochs, batch, optimizer, rate, weight decay, drop path, repeats, warm-up in epochs, as the papers' tables
# have them; millions of parameters, as published.
TABLES: dict[str, tuple[int, int, str, float, float, float, int, int, float]] = {
    "rsb-a2": (300, 2048, "lamb", 5e-3, 0.02, 0.05, 3, 5, 25.6),
    "rsb-a3": (100, 2048, "lamb", 8e-3, 0.02, 0.0, 1, 5, 25.6),
    "deit-s": (300, 1024, "adamw", 1e-3, 0.05, 0.1, 3, 5, 22.1),
    "swin-t": (300, 1024, "adamw", 1e-3, 0.05, 0.2, 1, 20, 28.3),
    "convnext-t": (300, 4096, "adamw", 4e-3, 0.05, 0.1, 1, 20, 28.6),
    "xcit-s": (400, 1024, "adamw", 1e-3, 0.05, 0.05, 3, 5, 26.3),
    "pvt-t": (300, 1024, "adamw", 1e-3, 0.05, 0.1, 3, 5, 13.2),
    "resnet-18": (100, 256, "sgd", 0.1, 1e-4, 0.0, 1, 0, 11.7),
    "resnet-18-300": (300, 256, "sgd", 0.1, 1e-4, 0.0, 1, 0, 11.7),
    "resnet-50": (100, 256, "sgd", 0.1, 1e-4, 0.0, 1, 0, 25.6),
    "resnet-50-300": (300, 256, "sgd", 0.1, 1e-4, 0.0, 1, 0, 25.6),
    "cifar-resnet-18": (800, 100, "sgd", 0.1, 1e-4, 0.0, 1, 0, 11.2),
    "cifar-resnext-50": (800, 100, "sgd", 0.1, 1e-4, 0.0, 1, 0, 23.2),
    "cifar-wrn-28-8": (400, 100, "sgd", 0.03, 1e-3, 0.0, 1, 0, 23.4),
    "cifar-wrn-28-10": (200, 128, "sgd", 0.1, 1e-4, 0.0, 1, 0, 36.5),
    "cifar-preact-resnet-18": (200, 128, "sgd", 0.1, 1e-4, 0.0, 1, 0, 11.2),
}


def run_of(name: str, **options: Any) -> Run:
    data = "cifar100" if name.startswith("cifar") else "folder"
    return build_run("supervised", {"data": data, **options}, name).run


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_is_what_its_paper_says(name: str) -> None:
    run = run_of(name)
    config, images = run.config, 50_000 if name.startswith("cifar") else 1_281_167
    epoch = images // config.batch_size
    size = run.data.image_size or 32
    with torch.device("meta"):
        net = run.net.build((3, size, size), 100 if name.startswith("cifar") else 1000, 0)
    found = (
        config.steps / epoch,
        config.batch_size,
        config.optimizer,
        config.lr,
        config.weight_decay,
        run.net.drop_path,
        config.repeated_augmentation,
        config.warmup_steps / epoch,
        round(sum(weight.numel() for weight in net.parameters()) / 1e6, 1),
    )
    assert found == TABLES[name]
    assert config.lr_every in (1, epoch) and config.eval_every == epoch
    assert layer_bytes(net, (3, size, size)) > 0  # so that the memory of a step is estimated


def test_the_loss_of_resnet_strikes_back_and_what_mixing_makes_of_it() -> None:
    made = run_of("rsb-a3").algorithm.hyperparameters()
    assert (made["criterion"], made["target_threshold"], made["mixing"].mix_alpha) == ("bce", 0.2, 0.1)
    data = run_of("rsb-a3").data
    assert (data.image_size, data.stored_size, data.test_image_size) == (160, 236, 224)
    smaller = run_of("rsb-a3", image_size=80).data
    assert (smaller.image_size, smaller.stored_size, smaller.test_image_size) == (80, 118, 112)
    decoupled = run_of("rsb-a3", mix="dm", mixer="cutmix").algorithm.hyperparameters()
    assert (decoupled["target_threshold"], decoupled["mixing"].mix_alpha) == (None, 0.2)
    assert run_of("rsb-a2", mix="none").algorithm.hyperparameters()["target_threshold"] is None


@pytest.mark.parametrize(("mixer", "alpha", "eta"), [("cutmix", 0.2, 0.1), ("puzzlemix", 2.0, 1.0)])
@pytest.mark.parametrize("name", ["resnet-50", "cifar-resnext-50", "deit-s"])
def test_decoupled_mixup_has_its_published_alpha_and_eta(
    name: str, mixer: str, alpha: float, eta: float
) -> None:
    mixing = run_of(name, mix="dm", mixer=mixer).algorithm.hyperparameters()["mixing"]
    assert (mixing.mix_alpha, mixing.eta) == (alpha, eta)


def test_epochs_stay_and_rates_scale_with_another_batch() -> None:
    halved = run_of("deit-s", batch_size=512).config
    assert (halved.lr, halved.steps, halved.lr_every) == (5e-4, 300 * 2502, 2502)
    assert run_of("deit-s", batch_size=512, lr=0.1, steps=30).config.lr == 0.1
    assert run_of("resnet-50", batch_size=512).config.lr == 0.1  # whose source does not scale
    short = run_of("rsb-a2", steps=600).config
    assert (short.warmup_steps, short.lr_every, short.log_every) == (10, 2, 2)
    assert run_of("swin-t", steps=3, clip_grad=5.0).config.clip_grad == 5.0


def test_rates_at_both_ends_are_those_of_the_codes_for_the_whole_batch() -> None:
    """Swin's code scales them with the batch as it scales the rate; DeiT's does not."""
    ends = {name: (run_of(name).config.warmup_lr, run_of(name).config.final_lr) for name in NAMES}
    for name in ("swin-t", "deit-s", "xcit-s", "pvt-t"):
        assert ends[name] == (1e-6, 1e-5)
    assert ends["convnext-t"] == (0.0, 1e-6) and ends["rsb-a3"] == ends["rsb-a2"] == (1e-4, 1e-6)


def test_another_network_or_mixer_takes_nothing_that_is_not_its_own() -> None:
    assert run_of("swin-t", net="wrn-28-2").net.drop_path == 0
    assert run_of("rsb-a2", mixer="cutmix").algorithm.hyperparameters()["mixing"].mix_alpha is None
    assert run_of("deit-s", criterion="bce").algorithm.hyperparameters()["label_smoothing"] == 0
    assert build_run("supervised", {"data": "cifar10"}, "deit-s").run.data.image_size is None
    stl10 = build_run("supervised", {"data": "stl10"}, "rsb-a3").run.data  # which takes no `stored_size`
    assert (stl10.image_size, stl10.stored_size, stl10.test_image_size) == (160, None, None)


def test_a_recipe_for_supervised_training_is_refused_elsewhere() -> None:
    with pytest.raises(ValueError, match=r"of supervised training.*'fixmatch'.*train 'supervised'"):
        build_run("fixmatch", {"data": "digits"}, "deit-s")


@pytest.mark.parametrize("name", NAMES)
def test_a_step_of_a_recipe_at_reduced_size(name: str) -> None:
    """On 8 x 8 images with a small network: the trainer and the loss are those of the recipe."""
    run = run_of(name, net="small-cnn", batch_size=6, steps=4)
    data = blobs(16)
    split = choose_split(data.train.labels, len(data.classes), seed=0, classes=data.classes)
    trainer = run.trainer(data, split)
    before = trainer.student.head.weight.detach().clone()  # type: ignore[union-attr]
    for step, raw in zip(range(2), trainer.feed.batches(0), strict=False):
        trainer.train_step(raw)
        assert trainer.step == step + 1
    trainer.check_finite()
    assert not torch.equal(before, trainer.student.head.weight)  # type: ignore[arg-type,union-attr]


def test_the_command_line_trains_a_recipe_on_a_folder(tmp_path: Path) -> None:
    noise = torch.randint(0, 256, (8, 24, 40, 3), dtype=torch.uint8).numpy()
    for part in ("train", "val"):
        for number, picture in enumerate(noise):
            folder = tmp_path / part / "ab"[number % 2]
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(folder / f"{number}.png")
    words = ["--train", str(tmp_path / "train"), "--test", str(tmp_path / "val"), "--net", "small-cnn"]
    short = ["--image-size", "16", "--batch-size", "4", "--steps", "2", "--out", str(tmp_path / "run")]
    main(["train", "supervised", "--recipe", "rsb-a2", *words, *short])
    assert (tmp_path / "run" / "report.html").exists()


def test_every_recipe_is_in_the_table_of_the_docs() -> None:
    page = (ROOT / "docs/recipes.md").read_text()
    rows = [line.split("|")[1].strip(" `") for line in page.splitlines() if line.startswith("| `")]
    assert set(NAMES) <= set(rows)


def test_pvt_tiny_is_of_its_published_size_and_of_one_size_of_images() -> None:
    net: Any = build_model("pvt-t", 5, image_size=32, drop_path=0.1).eval()
    images = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(net.head(net.features(images)), net(images))
    assert not torch.equal(net(images), net(images.flip(3)))  # places count
    with pytest.raises(ValueError, match="multiple of 32, got `image_size` 40"):
        build_model("pvt-t", 5, image_size=40)


@pytest.mark.skipif(os.environ.get("SSL_MIX_RECIPES") != "all", reason="half a minute: SSL_MIX_RECIPES=all")
@pytest.mark.parametrize("name", NAMES)
def test_a_step_of_a_recipe_with_its_own_network(name: str) -> None:
    """Two images as small as the network takes them."""
    size = 32 if name.startswith("cifar") else 64
    sizes = {} if name.startswith("cifar") else {"image_size": size}
    run = run_of(name, batch_size=2, steps=2, amp="off", **sizes)
    data = blobs(8)
    stored = run.data.stored_size or size
    images = torch.randint(0, 256, (8, 3, stored, stored), dtype=torch.uint8)
    part = dataclasses.replace(data.train, images=type(data.train.images)(images))
    views = dataclasses.replace(data.of_pixels, mean=(0.5,) * 3, std=(0.2,) * 3, padding=0)
    data = run.data.adjust(dataclasses.replace(data, train=part, test=part, augmentation=views))
    split = choose_split(data.train.labels, len(data.classes), seed=0, classes=data.classes)
    trainer = run.trainer(data, split)
    trainer.train_step(next(trainer.feed.batches(0)))
    trainer.check_finite()
