"""Draw docs/mixers.png: every mixer on photographs that come with scikit-learn and Matplotlib.

    python scripts/draw_mixers.py

First trains a small network with AutoMix for two minutes to tell random cuttings of the three photographs
apart, so that the mixers that ask a network get one that has something to say. What is drawn is what
``ssl-mix show-mixers --run`` draws.
"""

import tempfile
from pathlib import Path

import numpy as np
from matplotlib.cbook import get_sample_data
from PIL import Image
from sklearn.datasets import load_sample_images

from ssl_mix.cli.main import main as ssl_mix

CUTTINGS, SIDE = 60, 224


def photographs() -> dict[str, Image.Image]:
    """A temple, a flower and a portrait."""
    temple, flower = (Image.fromarray(image) for image in load_sample_images().images)
    portrait = Image.open(get_sample_data("grace_hopper.jpg", asfileobj=False)).convert("RGB")
    return {"temple": temple, "flower": flower, "portrait": portrait}


def write_cuttings(root: Path) -> None:
    """Random squares of each photograph, in a folder per photograph."""
    generator = np.random.default_rng(0)
    for name, image in photographs().items():
        folder = root / name
        folder.mkdir(parents=True)
        for number in range(CUTTINGS):
            side = int(min(image.size) * generator.uniform(0.75, 1))
            left, top = (int(generator.uniform(0, size - side + 1)) for size in image.size)
            square = image.crop((left, top, left + side, top + side))
            square.resize((SIDE, SIDE), Image.Resampling.LANCZOS).save(folder / f"{number}.png")


def main() -> None:
    """Cut, train, draw."""
    target = Path(__file__).parent.parent / "docs" / "mixers.png"
    with tempfile.TemporaryDirectory() as folder:
        images, run = f"{folder}/images", f"{folder}/run"
        write_cuttings(Path(images))
        data = ["--data", "folder", "--train", images]
        training = [
            "--net",
            "small-cnn",
            "--mix",
            "mixup",
            "--mixer",
            "automix",
            "--steps",
            "400",
            "--batch-size",
            "32",
        ]
        ssl_mix(["train", "supervised", *data, "--image-size", "64", *training, "--out", run])
        ssl_mix(
            [
                "show-mixers",
                *data,
                "--image-size",
                str(SIDE),
                "--run",
                run,
                "--out",
                str(target),
                "--overwrite",
            ]
        )
    Image.open(target).convert("RGB").quantize(256).save(target, optimize=True)  # a third of the size


if __name__ == "__main__":
    main()
