"""The size of images that ``auto`` takes: that of the weights, or the largest that the time is enough for."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image

import ssl_mix
from ssl_mix.cli.main import main
from ssl_mix.datasets import as_dataset
from ssl_mix.errors import UserError
from ssl_mix.recipes import image_size
from ssl_mix.recipes.image_size import affordable_size, few_at, seconds_at
from ssl_mix.recipes.ladder import PROBE, run_of
from ssl_mix.runs.given import Given

ROOM: dict[str, Any] = {"feature_views": 1, "batch_size": 4, "threads": 1, "steps": 2}
COSTS = {224: 900.0, 192: 600.0, 160: 400.0, 128: 170.0, 96: 50.0, 48: 5.0, 32: 1.0}


def costing(size: int, *_: Any) -> float:
    """In place of a measurement."""
    return COSTS[size]


def images_of(size: int, count: int = 6) -> Any:
    pixels = np.random.default_rng(0).integers(0, 255, (count, size, size, 3), dtype=np.uint8)
    return as_dataset((pixels, [number % 2 for number in range(count)]))


def given_net() -> Any:
    return timm.create_model("test_efficientnet", num_classes=2)  # made for images of 160 pixels


def run_of_probe() -> Any:
    return run_of(PROBE, {"net": "small-cnn", "pretrained": "none", "lr": 0.01, **ROOM})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes with one label each and an unlabeled image."""
    for name in ("labeled/cat", "labeled/dog", "unlabeled"):
        (tmp_path / name).mkdir(parents=True)
        pixels = np.random.default_rng(len(name)).integers(0, 255, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / name / "one.png")
    return tmp_path


@pytest.mark.parametrize(
    ("own", "minutes", "expected"),
    [
        (224, 36, 224),
        (224, 24, 192),
        (224, 6, 128),
        (224, 1.8, 96),
        (224, 0.1, 96),
        (48, 0.1, 48),
        (128, 3, 96),
    ],
)
def test_the_largest_size_whose_features_fit(
    own: int, minutes: float, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_size, "seconds_at", costing)
    found = affordable_size(run_of_probe(), images_of(own), Given(), minutes)
    assert found.pixels == expected and f"`image_size={expected}`" in found.reason
    assert f"take about {COSTS[expected]:.0f} s" in found.reason
    assert (f"at {own} they would take {COSTS[own]:.0f} s" in found.reason) == (expected != own)
    assert f"50 % of the `minutes` ({30 * minutes:.0f} s) are for them" in found.reason
    assert ("it takes longer" in found.reason) == (COSTS[expected] > 30 * minutes)


def test_sizes_that_a_network_is_not_made_for_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    def picky(size: int, *_: Any) -> float:
        if size % 64:
            raise UserError("made for multiples of 64")
        return COSTS[size]

    monkeypatch.setattr(image_size, "seconds_at", picky)
    assert affordable_size(run_of_probe(), images_of(224), Given(), 24).pixels == 192
    found = affordable_size(run_of_probe(), images_of(224), Given(), 1.8)
    assert found.pixels == 128 and "at 192 they would take 600 s" in found.reason
    monkeypatch.setattr(image_size, "seconds_at", lambda *_: picky(1))
    assert affordable_size(run_of_probe(), images_of(224), Given(), 1.8).pixels == 224


@pytest.mark.parametrize(
    ("options", "images", "passes"),
    [
        ({}, 30 + 9 / 3, ["plain weak strong"]),
        ({"feature_views": 0, "tta": True}, 30 + 9, ["plain", "plain"]),
    ],
)
def test_the_estimate_counts_every_view_and_look_at_every_image(
    options: dict[str, Any], images: float, passes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    moments = iter([0.0, 10.0, 12.0])  # warming up is not counted
    monkeypatch.setattr("ssl_mix.recipes.image_size.time.perf_counter", lambda: next(moments))
    seen: list[tuple[int, str]] = []

    def watched(net: Any, source: Any, views: Any, device: Any, names: Any = ("plain",), **_: Any) -> None:
        seen.append((len(source), " ".join(names)))

    monkeypatch.setattr(image_size, "view_features", watched)
    data = images_of(32, count=30)
    data = type(data)(**{**vars(data), "test": images_of(32, count=9).train})
    run = run_of(PROBE, {"net": "small-cnn", "pretrained": "none", "lr": 0.01, **ROOM, **options})
    assert seconds_at(32, run, data, Given()) == pytest.approx(images * 2.0 / 4)
    assert seen == [(count, names) for count in (1, 4) for names in passes]


def test_a_few_images_are_resized_and_really_looked_at() -> None:
    data = images_of(64)
    assert few_at(32, data).shape == (4, 3, 32, 32) and few_at(32, data).dtype == torch.uint8
    [same] = data.train.images.batches([torch.arange(4)], torch.device("cpu"))
    assert torch.equal(few_at(64, data), same)
    assert 0 < seconds_at(32, run_of_probe(), data, Given()) < 60


@pytest.mark.parametrize("lists", [False, True])
@pytest.mark.parametrize(("asked", "expected"), [({}, 128), ({"image_size": 48}, 48)])
def test_auto_tells_the_size_and_a_flag_wins(
    lists: bool,
    asked: dict[str, int],
    expected: int,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(image_size, "seconds_at", costing)
    labeled: Any = folder / "labeled"
    if lists:
        labeled = [(str(folder / "labeled" / name / "one.png"), name) for name in ("cat", "dog")]
    with caplog.at_level(logging.WARNING, "ssl_mix"):
        trained = ssl_mix.auto(
            labeled, folder / "unlabeled", net=given_net(), out=folder / "run", **ROOM, **asked
        )
    assert trained.shape == (3, expected, expected)
    assert ("images are seen at 128 pixels" in caplog.text) == (not asked)
    assert ("at 160 they would take 400 s" in caplog.text) == (not asked)


def test_the_command_tells_the_size(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(image_size, "seconds_at", costing)
    flags = [word for name, value in ROOM.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    main(
        ["auto", "--net", "small-cnn", "--pretrained", "none", "--labeled", str(folder / "labeled")]
        + ["--unlabeled", str(folder / "unlabeled"), "--out", str(folder / "run"), *flags]
    )
    printed, said = capsys.readouterr()
    assert "1 unlabeled image (for the start of the head)" in printed
    assert "images are seen at 32 pixels, where their features take about 1 s" in said
    assert "50 % of the --minutes (300 s) are for them (--image-size 32)" in said
