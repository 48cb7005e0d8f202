"""Runs for the suites that change images: digits, and colored squares of ten or two classes in files."""

from pathlib import Path

import numpy as np
from PIL import Image

from ssl_mix.cli.main import main
from ssl_mix.runs.answered import answer_test_part
from ssl_mix.runs.trained import load_trained
from ssl_mix.suites import Scene

COLORS = [(230, 30, 30), (30, 220, 40), (40, 40, 230), (220, 220, 40), (40, 220, 220)]


def digits_scene(folder: Path) -> Scene:
    """A small network that has learned digits."""
    words = ["--data", "digits", "--labels-per-class", "30", "--steps", "100", "--threads", "1"]
    main(["train", "supervised", *words, "--out", str(folder)])
    return Scene(answer_test_part(load_trained(folder, "cpu")))


def write_squares(folder: Path, classes: tuple[str, ...], count: int, side: int) -> None:
    """Images of a colored square on gray, its color by class, for training and for the test part."""
    draws = np.random.default_rng(0)
    for part in ("train", "test"):
        for number, name in enumerate(classes):
            place = folder / part / name
            place.mkdir(parents=True)
            for image in range(count):
                pixels = draws.integers(90, 130, (side, side, 3), dtype=np.uint8)
                left, top = draws.integers(0, side // 2, 2)
                color = np.array(COLORS[number % 5]) // (1 + number // 5)
                pixels[top : top + side // 2, left : left + side // 2] = color
                Image.fromarray(pixels).save(place / f"{name}{image}.png")


def files_scene(data: Path, folder: Path, *words: str) -> Scene:
    """A run on images in files."""
    parts = ["--train", str(data / "train"), "--test", str(data / "test"), "--threads", "1", *words]
    main(["train", "supervised", *parts, "--out", str(folder)])
    return Scene(answer_test_part(load_trained(folder, "cpu")))
