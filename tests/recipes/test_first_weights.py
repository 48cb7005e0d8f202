"""Defaults follow from the weights that a run starts from, wherever they come from; a flag always wins."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import torchvision
from sessions import train
from torch import nn

import ssl_mix
from ssl_mix import TrainConfig, Trainer, UserError
from ssl_mix.algorithms import ALGORITHMS, FixMatch, Supervised
from ssl_mix.datasets import as_dataset, choose_split, load_digits_data
from ssl_mix.models import adapt, build_model
from ssl_mix.models.first_weights import images_behind, is_trained
from ssl_mix.models.pretrained import load_pretrained
from ssl_mix.recipes.build import build_run
from ssl_mix.runs.data_options import DataOptions
from ssl_mix.runs.given import Given
from ssl_mix.runs.net_options import NetOptions
from ssl_mix.runs.run import Run
from ssl_mix.runs.session import start
from ssl_mix.runs.sizes import fitting_size, size_notes

QUICK: dict[str, Any] = {"steps": 1, "batch_size": 4, "eval_every": 1, "workers": 0, "threads": 1}


def arrays(size: int, count: int = 18) -> Any:
    """Noise of three classes, half of it without labels."""
    images = np.random.default_rng(0).integers(0, 256, (count, size, size, 3), dtype=np.uint8)
    return images, np.where(np.arange(count) < count // 2, np.arange(count) % 3, -1)


def touched(net: nn.Module) -> nn.Module:
    """The network as a step of training leaves it."""
    with torch.no_grad():
        for weight in net.parameters():
            weight.add_(0.01 * torch.randn(weight.shape))
    return net


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """Every way to name weights."""
    folder = tmp_path_factory.mktemp("sources")
    torch.save(timm.create_model("test_resnet", num_classes=5).state_dict(), folder / "test_resnet.pth")
    options = DataOptions(data="digits", labels_per_class=4)
    train(start(Run(Supervised(), options, NetOptions(), TrainConfig(steps=1, batch_size=4)), folder / "run"))
    return {
        "file": {"net": "timm:test_resnet", "pretrained": str(folder / "test_resnet.pth")},
        "file alone": {"net": str(folder / "test_resnet.pth")},
        "run": {"net": str(folder / "run")},
        "run as weights": {"pretrained": str(folder / "run")},
        "package": {"net": "lite0"},
        "timm": {"net": "timm:test_resnet", "pretrained": "default"},
        "torchvision": {"net": "torchvision:resnet18", "pretrained": "default"},
        "handed over": {"pretrained": "given"},
    }


WAYS = ("file", "file alone", "run", "run as weights", "package", "timm", "torchvision", "handed over")


@pytest.mark.parametrize(
    ("name", "way"),
    [(name, "file") for name in ALGORITHMS]
    + [(name, way) for name in ("supervised", "fixmatch", "stochnorm") for way in WAYS[1:]],
)
def test_every_algorithm_follows_weights_of_every_source_and_says_so(
    name: str, way: str, sources: dict[str, dict[str, str]]
) -> None:
    options: dict[str, Any] = {"train": "images", **sources[way]}
    run, notes = build_run(name, options)
    config = run.config
    assert (config.steps, config.batch_size, config.lr) == (200, 24, 1e-3)
    assert (config.head_lr_factor, config.schedule) == (1.0, "half-cosine")
    assert run.net.resolved().norms == ("training" if name == "stochnorm" else "frozen")
    [note] = notes
    assert "`steps=200` (" in note and "`lr=0.001` (keeps what the weights know)" in note
    size = {"run": 8, "run as weights": 8, "handed over": None}.get(
        way, 160 if "resnet.pth" in str(options) or way == "timm" else 224
    )
    assert run.data.image_size == size
    assert (f"`image_size={size}` (that of the images that the weights" in note) == (size is not None)
    flags = {"steps": 7, "lr": 0.5, "image_size": 48, "batch_size": 3, "head_lr_factor": 4.0}
    run, notes = build_run(name, {**options, **flags, "norms": "training"})
    assert {key: getattr(run.config, key) for key in flags if key != "image_size"} == {
        key: value for key, value in flags.items() if key != "image_size"
    }
    assert run.data.image_size == 48 and run.net.norms == "training"
    assert not any(f"`{flag}=" in note for note in notes for flag in flags)


@pytest.mark.parametrize("name", list(ALGORITHMS))
def test_the_middle_of_start_and_end_is_kept_where_it_is_a_network(
    name: str, sources: dict[str, dict[str, str]]
) -> None:
    def share(**options: Any) -> float:
        return build_run(name, {"train": "images", **sources["file"], **options})[0].config.start_share

    learns_from_it = name in ("mean-teacher", "simmatch", "simmatchv2", "self-tuning", "bi-tuning")
    assert share() == (0.0 if learns_from_it or name == "stochnorm" else 0.5)
    others = ({"head_start": "random"}, {"tune": "head"}, {"tune": "lora"}, {"norms": "training"})
    assert [share(**other) for other in others] == [0.0] * 4
    assert share(start_share=0.2, tune="head") == 0.2


@pytest.mark.parametrize("name", list(ALGORITHMS))
def test_gradients_are_clipped_where_features_are_trained(
    name: str, sources: dict[str, dict[str, str]]
) -> None:
    for tune in ("all", "head"):
        run, [note] = build_run(name, {"train": "images", **sources["file"], "tune": tune})
        clip = 1.0 if name in ("self-tuning", "bi-tuning") else 20.0
        assert run.config.clip_grad == (clip if tune == "all" else None)
        assert (f"`clip_grad={clip}` (" in note) == (tune == "all")


@pytest.mark.parametrize(
    ("name", "more", "ratio"),
    [("fixmatch", {}, 2), ("fixmatch", {"tune": "head"}, 7), ("adamatch", {}, 2), ("mixmatch", {}, 1)]
    + [("fixmatch", {"unlabeled_ratio": 5}, 5)],
)
def test_a_step_has_few_unlabeled_images(
    name: str, more: dict[str, Any], ratio: int, sources: dict[str, dict[str, str]]
) -> None:
    run, [note] = build_run(name, {"train": "images", **sources["file"], **more})
    assert run.algorithm.unlabeled_ratio == ratio
    assert ("`unlabeled_ratio=2` (" in note) == (ratio == 2)


@pytest.mark.parametrize("name", list(ALGORITHMS))
def test_without_weights_no_default_is_that_of_weights(name: str) -> None:
    run, notes = build_run(name, {"train": "images", "net": "small-cnn", "pretrained": "none"})
    assert run.config.steps == 1000 and run.net.resolved().norms == "training" and notes == ()
    assert run.config.start_share == 0


@pytest.mark.parametrize(
    "make",
    [
        lambda: build_model("small-cnn", 3),
        lambda: build_model("wrn-28-1", 3),
        lambda: torchvision.models.resnet18(),
        lambda: torchvision.models.mobilenet_v3_small(),
        lambda: timm.create_model("test_resnet"),
        lambda: timm.create_model("test_vit"),
        lambda: timm.create_model("test_convnext"),
        lambda: timm.create_model("test_efficientnet_gn"),
        lambda: nn.Sequential(nn.Flatten(), nn.LayerNorm(12), nn.Linear(12, 3)),
    ],
)
def test_training_shows_in_the_scales_of_normalization(make: Any) -> None:
    assert is_trained(make()) is False
    assert is_trained(touched(make())) is True
    assert is_trained(adapt(touched(nn.Sequential(nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 3))))) is True


def test_where_nothing_is_normalized_nothing_tells() -> None:
    assert is_trained(nn.Sequential(nn.Flatten(), nn.Linear(12, 3))) is None
    assert is_trained(torchvision.models.vgg11()) is None


def test_weights_that_were_loaded_here_are_known(tmp_path: Path) -> None:
    net = build_model("small-cnn", 3)
    torch.save(net.state_dict(), tmp_path / "w.pt")
    assert is_trained(net) is False and is_trained(load_pretrained(net, tmp_path / "w.pt").net) is True


def test_a_library_tells_the_images_behind_its_networks() -> None:
    assert images_behind(timm.create_model("test_vit")) == ((0.5,) * 3, (0.5,) * 3, 160)
    known = images_behind(adapt(torchvision.models.resnet18()))
    assert known is not None and (known.size, known.mean) == (224, (0.485, 0.456, 0.406))
    assert images_behind(nn.Linear(2, 2)) is None


def notes_of(caplog: pytest.LogCaptureFixture) -> str:
    return " ".join(record.getMessage() for record in caplog.records)


@pytest.mark.parametrize("algorithm", ["fixmatch", "fine-tuning", "supervised"])
def test_a_trained_network_that_is_handed_over_is_tuned_and_not_trained_anew(
    algorithm: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    net = touched(timm.create_model("test_resnet", num_classes=5))
    trained = ssl_mix.fit(algorithm, arrays(64), net=net, out=tmp_path / "run", **QUICK)
    assert trained.run.config.lr == 1e-3 and trained.run.net.norms == "frozen"
    assert trained.augmentation.mean == (0.5, 0.5, 0.5)
    said = notes_of(caplog)
    assert "count as trained (else: `pretrained=none`)" in said and "`lr=0.001` (keeps" in said
    assert "the head starts from the linear probe" in said
    again = ssl_mix.load(tmp_path / "run", net=net)
    assert again.run == trained.run or again.run.net == trained.run.net
    with pytest.raises(UserError, match="handed over in Python"):
        ssl_mix.load(tmp_path / "run")


@pytest.mark.parametrize(
    ("trained", "word", "lr"), [(True, "none", 0.03), (False, "default", 1e-3), (False, None, 0.03)]
)
def test_whether_it_is_trained_can_be_said(
    trained: bool, word: str | None, lr: float, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    net = timm.create_model("test_resnet", num_classes=3)
    net = touched(net) if trained else net
    options = {} if word is None else {"pretrained": word}
    found = ssl_mix.fit("fixmatch", arrays(64), net=net, out=tmp_path / "run", **QUICK, **options)
    assert found.run.config.lr == lr
    assert ("not trained" in notes_of(caplog)) == (lr == 0.03)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"drop_path": 0.1}, "`drop_path` is for networks by name"),
        ({"bn_momentum": 0.1}, "`bn_momentum` is for networks by name"),
        ({"pretrained": "weights.pth"}, "`net` is a network and `pretrained=weights.pth` names weights"),
    ],
)
def test_options_that_a_network_handed_over_cannot_follow_are_refused(
    options: dict[str, Any], words: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=words):
        ssl_mix.fit("fixmatch", arrays(16), net=build_model("small-cnn", 3), out=tmp_path / "run", **options)


def test_norms_alone_are_trained_of_a_network_handed_over_too(tmp_path: Path) -> None:
    net = build_model("small-cnn", 3)
    found = ssl_mix.fit("supervised", arrays(16), net=net, out=tmp_path / "run", tune="norms", **QUICK)
    for name, weight in found.net.state_dict().items():
        if "blocks" in name and weight.ndim == 4:
            assert torch.equal(weight, net.state_dict()[name]), name


def test_small_images_are_told_with_the_sizes_that_pay_and_their_cost() -> None:
    data = as_dataset(arrays(32))
    options = NetOptions(net="timm:resnet18", pretrained="default")
    [note] = size_notes(Run(Supervised(), DataOptions(), options), data, Given(data))
    assert "sees 32x32 pixels, and its weights were trained on 224x224" in note
    assert "96 (9 times the computing), 128 (16 times the computing), 224 (49 times" in note
    digits, run = load_digits_data(), Run(Supervised(), DataOptions(data="digits"), options)
    [note] = size_notes(run, digits, Given())
    assert "`data=digits` has a size of its own" in note
    assert size_notes(Run(Supervised(), DataOptions(), NetOptions(net="timm:resnet18")), data, Given()) == ()
    net = touched(torchvision.models.resnet18())
    given = Run(Supervised(), DataOptions(), NetOptions(pretrained="given"))
    assert len(size_notes(given, data, Given(data, net))) == 1
    large = as_dataset(arrays(96, 6))
    assert size_notes(Run(Supervised(), DataOptions(), options), large, Given(large)) == ()


def test_arrays_are_enlarged_as_far_as_it_pays_unless_told_otherwise(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert [fitting_size(224, own) for own in (None, 32, 95, 96, 300)] == [224, 96, 96, None, None]
    assert fitting_size(None, 32) is None
    assert [fitting_size(trained, own) for trained, own in ((8, 8), (32, 28), (32, 8))] == [None, None, 32]
    net = touched(timm.create_model("test_resnet", num_classes=3))
    found = ssl_mix.fit("supervised", arrays(16), net=net, out=tmp_path / "1", **QUICK)
    assert found.shape == (3, 64, 64) and "were enlarged" in notes_of(caplog)
    found = ssl_mix.fit("supervised", arrays(32), net=net, image_size=32, out=tmp_path / "2", **QUICK)
    assert found.shape == (3, 32, 32)
    assert "sees 32x32 pixels, and its weights were trained on 160x160" in notes_of(caplog)


def test_enlarged_arrays_count_for_the_memory() -> None:
    images, labels = arrays(16)
    small = as_dataset((images, labels), memory_budget=20_000, workers=0)
    large = as_dataset((images, labels), image_size=64, memory_budget=20_000, workers=0)
    assert not any("MiB" in note for note in small.notes)
    assert any("more than the 0.0 MiB they may take" in note for note in large.notes)
    [batch] = large.train.images.batches([torch.tensor([3])], torch.device("cpu"))
    assert batch.shape == (1, 3, 64, 64)


def test_a_trainer_without_settings_warns_of_weights() -> None:
    """The loop itself knows no recipe: its defaults are those for random weights."""
    data = load_digits_data()
    split = choose_split(data.train.labels, 10, per_class=4, seed=0, classes=data.classes)
    net = touched(build_model("small-cnn", 10, channels=1))
    with pytest.warns(UserWarning, match=r"SmallCNN has trained weights.*TrainConfig\(steps=200, lr=0.001"):
        Trainer(FixMatch(), net, data, split)
