"""How much of the accuracy is left on published variants of CIFAR: corrupted, and collected anew."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from matplotlib.figure import Figure

from ssl_mix.errors import UserError
from ssl_mix.evaluation import CORRUPTIONS
from ssl_mix.runs.reading import reading
from ssl_mix.suites.suite import Scene
from ssl_mix.suites.words import images, percent

CHUNK = 500
Array = npt.NDArray[Any]


class Part(NamedTuple):
    """Images (N, 32, 32, 3) uint8 of one file, or of one severity in it, and their labels (N,)."""

    name: str
    images: Array
    labels: Array


def measure(scene: Scene) -> dict[str, Any]:
    """Accuracy on each file that is there, of a sample of it."""
    if scene.options.shifted is None:
        raise UserError(
            "name the folder of the files of CIFAR-10-C, CIFAR-10.1 or CIFAR-10.2 with `shifted=DIR`"
        )
    folder = Path(scene.options.shifted)
    parts = list(parts_of(folder))
    if not parts:
        raise UserError(f"{folder} holds no file of CIFAR-10-C, CIFAR-10.1 or CIFAR-10.2 (`shifted`)")
    found = {}
    for place, part in enumerate(parts):
        found[part.name] = _scored(scene, part, folder)
        scene.tell("images of another distribution", place + 1, len(parts))
    own = scene.answered
    clean = float((own.logits.argmax(dim=1) == own.labels).double().mean())
    return {"images": len(own.labels), "accuracy": clean, "shifted": found}


def parts_of(folder: Path) -> Iterator[Part]:
    """What a folder holds of CIFAR-C, whose files have five severities after each other, and of its test sets
    that were collected anew."""
    for kind in CORRUPTIONS:
        if (folder / f"{kind}.npy").exists():
            pixels, labels = _read(folder / f"{kind}.npy"), _read(folder / "labels.npy")
            for severity, (some, their) in enumerate(
                zip(_fifths(pixels), _fifths(labels), strict=True), start=1
            ):
                yield Part(f"{kind.replace('_', ' ')}, severity {severity}", some, their)
    if (folder / "cifar10.1_v6_data.npy").exists():
        yield Part(
            "CIFAR-10.1", _read(folder / "cifar10.1_v6_data.npy"), _read(folder / "cifar10.1_v6_labels.npy")
        )
    if (folder / "cifar102_test.npz").exists():
        whole = _read(folder / "cifar102_test.npz")
        yield Part("CIFAR-10.2", whole["images"], whole["labels"])


def _fifths(values: Array) -> list[Array]:
    return np.array_split(values, 5)


def _read(path: Path) -> Any:
    with reading(path):
        return np.load(path, mmap_mode="r", allow_pickle=False)


def _scored(scene: Scene, part: Part, folder: Path) -> dict[str, float]:
    """Accuracy of a sample of one part."""
    shape = scene.answered.trained.shape
    expected, classes = (shape[1], shape[2], shape[0]), len(scene.answered.classes)
    labels = torch.from_numpy(np.asarray(part.labels).astype(np.int64))
    if part.images.shape[1:] != expected or len(labels) != len(part.images) or part.images.dtype != np.uint8:
        raise UserError(
            f"{part.name} in {folder}: expected uint8 images {expected} with a label each, as the network "
            f"sees them, got {part.images.dtype} {part.images.shape} and {len(labels)} labels"
        )
    if int(labels.min()) < 0 or int(labels.max()) >= classes:
        raise UserError(f"{part.name} in {folder} has labels beyond the {classes} classes of the run")
    draws = torch.Generator().manual_seed(scene.options.suite_seed)
    rows = torch.randperm(len(labels), generator=draws)[: scene.options.limit].sort().values
    right, device = 0, scene.answered.trained.device
    for chunk in torch.split(rows, CHUNK):
        pixels = torch.from_numpy(part.images[chunk.numpy()]).permute(0, 3, 1, 2).contiguous()
        right += scene.right(pixels.to(device), labels[chunk].to(device))
    return {"images": len(rows), "accuracy": right / len(rows)}


def rows(numbers: dict[str, Any]) -> list[tuple[str, str]]:
    """Every number in words."""
    found = [("the test part", f"{percent(numbers['accuracy'])} of {images(numbers['images'])}")]
    for name, part in numbers["shifted"].items():
        found.append((name, f"{percent(part['accuracy'])} of {images(part['images'])}"))
    return found


def draw(numbers: dict[str, Any]) -> Figure | None:
    """A bar for each part."""
    parts = numbers["shifted"]
    figure = Figure(figsize=(5, 1.2 + 0.16 * len(parts)), layout="constrained")
    axes = figure.add_subplot()
    axes.barh(range(len(parts)), [100 * part["accuracy"] for part in parts.values()])
    axes.set_yticks(range(len(parts)), list(parts), fontsize="x-small")
    axes.invert_yaxis()
    axes.axvline(100 * numbers["accuracy"], color="black", linestyle="--", linewidth=1)
    axes.set_xlabel("accuracy in %; dashed: the test part")
    return figure
