"""Made-up runs for reports, whose numbers a test can count again."""

import json
from pathlib import Path
from typing import Any

import torch

from ssl_mix.datasets import ResidentImages, Split
from ssl_mix.datasets.splits import checksum
from ssl_mix.reports.blocks import Pictures
from ssl_mix.reports.told import Shown, Told
from ssl_mix.runs.folder import Record

HOSTILE = ("<script>alert(1)</script>", 'a "quoted" & <b>name</b>', "it's </script> \u00fc\u4e2d\u6587")


def config_of(classes: tuple[str, ...], *, images: int, steps: int = 100, **given: Any) -> dict[str, Any]:
    """What a ``config.json`` holds, as far as reports read it; ``given``: settings by "part__name"."""
    config: dict[str, Any] = {
        "format": "ssl-mix run 1",
        "algorithm": {"name": "fixmatch", "threshold": 0.95, "mixing": {"mix": "none"}},
        "data": {"data": "digits", "split_seed": None},
        "net": {"net": "small-cnn", "pretrained": "none", "tune": "all"},
        "train": {"steps": steps, "batch_size": 8, "seed": 0, "lr": 0.03},
        "dataset": {
            "name": "made up",
            "classes": list(classes),
            "image_shape": [3, 32, 32],
            "test_images": images,
            "split_sha256": "0",
        },
        "versions": {"ssl_mix": "0"},
        "given": {"data": False, "net": None},
        "command": ["ssl-mix", "train", "fixmatch", "--out", "runs/it's mine"],
    }
    for name, value in given.items():
        part, _, option = name.partition("__")
        config[part][option] = value
    return config


def record_of(step: int, accuracy: float, **others: float) -> Record:
    return {"step": step, "loss": 1.0, "lr": 0.03, "test_accuracy": accuracy, "seconds": 60.0, **others}


def run_folder(
    folder: Path, accuracy: float, *, steps: int = 100, done: int | None = None, **given: Any
) -> Path:
    """The files of a run with nothing but its result."""
    folder.mkdir(parents=True)
    config = config_of(("a", "b"), images=200, steps=steps, **given)
    (folder / "config.json").write_text(json.dumps(config))
    last = steps if done is None else done
    records = [record_of(last // 2, accuracy / 2), record_of(last, accuracy)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return folder


def told_of(folder: Path, classes: tuple[str, ...], count: int, side: int = 32) -> Told:
    """A run with ``count`` test images of noise, nine in ten of which it has right."""
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, 3, side, side), generator=draw, dtype=torch.uint8)
    labels = torch.arange(count) % len(classes)
    wrong = torch.rand(count, generator=draw) < 0.1
    predicted = torch.where(wrong, (labels + 1) % len(classes), labels)
    names = [f"{classes[label]}/{place}.png" for place, label in enumerate(labels.tolist())]
    shown = Shown(
        ResidentImages(images),
        torch.arange(count),
        labels,
        predicted,
        torch.rand(count, generator=draw),
        names,
    )
    labeled = tuple(range(len(classes)))
    return Told(
        folder,
        config_of(classes, images=count),
        [record_of(50, 0.5), record_of(100, (~wrong).float().mean().item())],
        Split(labeled, (), (), 0, checksum(labeled)),
        shown,
        "Its algorithm makes no pseudo-labels.",
        "Its algorithm makes no pseudo-labels.",
        Pictures([]),
    )
