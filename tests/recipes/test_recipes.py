"""Every recipe is a run that could start, with the settings that its paper names."""

import dataclasses
from typing import Any

import pytest
import torch

from ssl_mix import TrainConfig, Trainer
from ssl_mix.algorithms import ALGORITHMS, TRANSFER
from ssl_mix.cli.main import main
from ssl_mix.datasets import DataSet, ResidentImages, choose_split, load_digits_data
from ssl_mix.engine.optimizer import learning_rate
from ssl_mix.recipes import RECIPES, Asked

PAPERS = [name for name in RECIPES if name not in ("small", "paper", "recommended", "openmixup")]


def pictures(data: DataSet) -> torch.Tensor:
    every = [torch.arange(len(data.train.labels))]
    return next(iter(data.train.images.batches(every, torch.device("cpu"))))


@pytest.mark.parametrize("name", list(RECIPES))
def test_a_recipe_names_a_network_and_an_algorithm_that_exist(name: str) -> None:
    recipe = RECIPES[name](Asked())
    size = recipe.data.image_size or 32
    with torch.device("meta"):
        net = dataclasses.replace(recipe.net, pretrained="none").build((3, size, size), 7, 0)
    assert sum(parameter.numel() for parameter in net.parameters()) > 1e5
    assert recipe.algorithm in (None, *ALGORITHMS)
    for data in (None, "cifar100", "svhn"):
        for algorithm, options in RECIPES[name](Asked(data)).options.items():
            made = ALGORITHMS[algorithm](**options).hyperparameters()
            assert {key: made[key] for key in options} == options


@pytest.mark.parametrize("name", PAPERS)
def test_a_paper_is_followed_in_epochs_and_its_own_network_is_evaluated(name: str) -> None:
    config = RECIPES[name](Asked()).config
    assert config.eval_every is not None and config.steps % config.eval_every == 0
    assert config.ema_decay == 0
    published = {"dm-cifar100": 800, "dm-imagenet": 100, "sem": 200, "lumix-xcit": 400, "lumix": 300}
    epochs = next((value for prefix, value in published.items() if name.startswith(prefix)), None)
    assert epochs is None or config.steps == epochs * config.eval_every


def test_deit_warms_up_for_five_epochs_from_a_millionth() -> None:
    config = RECIPES["lumix-deit-s"](Asked()).config
    epoch = config.steps // 300
    assert config.warmup_steps == 5 * epoch
    assert learning_rate(config, 0) == pytest.approx(1e-6)
    assert learning_rate(config, 5 * epoch) == pytest.approx(1e-3, rel=1e-3)
    assert learning_rate(config, config.steps - 1) == pytest.approx(1e-5, rel=1e-2)


@pytest.mark.parametrize("name", ["sem-preactresnet18", "lumix-convnext-t"])
def test_a_recipe_trains(name: str) -> None:
    recipe = RECIPES[name](Asked())
    assert recipe.algorithm is not None
    data = load_digits_data()
    split = choose_split(data.train.labels, 10, per_class=4, seed=0, classes=data.classes)
    config = dataclasses.replace(
        recipe.config, steps=2, batch_size=4, warmup_steps=min(1, recipe.config.warmup_steps), log_every=1
    )
    small: Any = "timm:convnext_atto" if "convnext" in name else "small-cnn"
    net = dataclasses.replace(recipe.net, net=small).build((1, 8, 8), 10, 0)
    if "convnext" in name:  # which takes no images of 8 x 8
        images = torch.nn.functional.interpolate(pictures(data), scale_factor=4)
        train = dataclasses.replace(data.train, images=ResidentImages(images))
        augmentation = dataclasses.replace(data.augmentation, crop="resized")
        data = dataclasses.replace(data, train=train, test=None, augmentation=augmentation)
    trainer = Trainer(
        ALGORITHMS[recipe.algorithm](**recipe.options[recipe.algorithm]), net, data, split, config
    )
    before = [parameter.clone() for parameter in trainer.student.parameters()]
    records = list(trainer.fit())
    assert [record["step"] for record in records] == [1, 2]
    assert any(
        not torch.equal(old, new) for old, new in zip(before, trainer.student.parameters(), strict=True)
    )


def test_flags_get_the_defaults_of_the_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["train", "supervised", "--recipe", "lumix-deit-s", "--help"])
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for default in ("cutmix", "lumix", "timm:deit_small_patch16_224", "adamw", "375600", "resized"):
        assert f"(default: {default})" in shown


def test_the_published_weight_of_mixmatch_follows_the_data(capsys: pytest.CaptureFixture[str]) -> None:
    for data, weight in (("cifar10", "100.0"), ("cifar100", "150.0")):
        with pytest.raises(SystemExit):
            main(["train", "mixmatch", "--recipe", "paper", "--data", data, "--help"])
        shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
        assert "w(t) = min(1, t / (ramp T))" in shown
        assert f"150 for CIFAR-100. (default: {weight})" in shown


def test_a_recipe_for_another_algorithm_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["train", "fixmatch", "--recipe", "lumix-deit-s", "--out", "x"])
    assert stop.value.code == 2
    assert "must be one of supervised, got 'fixmatch'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"optimizer": "adam"}, "optimizer"),
        ({"schedule": "half-cosin"}, "half-cosine"),
        ({"final_lr": 0.1}, "half-cosine"),
        ({"warmup_steps": 1000}, "fewer than steps"),
        ({"warmup_steps": -1}, "warmup_steps"),
    ],
)
def test_wrong_schedules_are_refused(options: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        TrainConfig(**options)


@pytest.mark.parametrize("recipe", ["small", "paper", "recommended", "openmixup"])
@pytest.mark.parametrize("name", list(TRANSFER))
def test_transfer_starts_from_weights_and_scores_the_test_part_once(name: str, recipe: str) -> None:
    found = RECIPES[recipe](Asked("cub200", name))
    assert found.net.pretrained == "default"
    assert found.config.test_scored == "once" and found.config.head_lr_factor == 10
    for algorithm, options in found.options.items():
        assert ALGORITHMS[algorithm](**options).hyperparameters().items() >= options.items()
    if recipe != "small":
        assert (found.data.image_size, found.data.stored_size, found.data.crop) == (224, 256, "resized")


def test_the_published_codes_are_followed() -> None:
    """Steps, batch, weight decay, milestones, view and teacher of each method's own code."""
    codes = {
        "fine-tuning": (9050, 48, 5e-4, (6000,), "weak", 0.0),
        "l2-sp": (10_000, 48, 0.0, (6000,), "weak", 0.0),
        "bss": (9002, 48, 5e-4, (6000,), "weak", 0.0),
        "co-tuning": (9050, 48, 5e-4, (6000,), "weak", 0.0),
        "bi-tuning": (10_000, 48, 5e-4, (6000,), "weak", 0.999),
        "self-tuning": (27005, 24, 1e-4, (6000, 12000, 18000, 24000), "strong", 0.998001),
    }
    for name, expected in codes.items():
        found = RECIPES["paper"](Asked("cub200", name))
        config = found.config
        settings = (config.steps, config.batch_size, config.weight_decay, config.milestones)
        assert (*settings, found.options[name]["view"], config.ema_decay) == expected
        fit = "cut" if name in ("l2-sp", "bi-tuning") else "squash"
        assert (config.lr, found.data.fit, found.data.randaugment) == (1e-3, fit, "self-tuning")
    assert not RECIPES["paper"](Asked("cub200", "bss")).config.nesterov


def test_the_authors_code_and_their_paper_mix_differently() -> None:
    paper = RECIPES["paper"](Asked("cub200", "self-tuning")).options["self-tuning"]["mixing"]
    code = RECIPES["openmixup"](Asked("cub200", "self-tuning")).options["self-tuning"]
    assert (paper.mix_side, paper.mix_halves, paper.mix_alpha) == ("minor", "labeled", 0.2)
    assert (code["mixing"].mix_side, code["mixing"].mix_halves) == ("major", "both")
    assert code["mix_head"] == "own" and code["mixing"].mix_ramp == "cosine"


def test_recommended_treats_all_alike() -> None:
    found = {name: RECIPES["recommended"](Asked("cub200", name)) for name in (*TRANSFER, "mean-teacher")}
    assert {found[name].options[name]["view"] for name in TRANSFER} == {"strong"}
    assert len({(each.config.steps, each.config.batch_size, each.config.lr) for each in found.values()}) == 1
    assert {name for name, each in found.items() if each.config.weight_decay == 0} == {"l2-sp", "delta"}
    assert {name for name, each in found.items() if each.config.ema_decay > 0} == {
        "bi-tuning",
        "self-tuning",
        "mean-teacher",
    }
    smaller = RECIPES["recommended"](Asked("cub200", "bss", 56)).data
    assert (smaller.image_size, smaller.stored_size) == (56, 64)
