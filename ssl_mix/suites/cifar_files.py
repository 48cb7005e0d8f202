"""The published files of CIFAR-10-C and CIFAR-100-C, of CIFAR-10.1 and of CIFAR-10.2."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ssl_mix.datasets.given import read_images
from ssl_mix.errors import UserError
from ssl_mix.evaluation import CORRUPTIONS
from ssl_mix.evaluation.accuracy import CHUNK, at_once
from ssl_mix.suites.suite import Scene

CIFAR10 = "airplane automobile bird cat deer dog frog horse ship truck"
CIFAR100 = (
    "apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly "
    "camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup "
    "dinosaur dolphin elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower "
    "leopard lion lizard lobster man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid "
    "otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine possum rabbit raccoon ray "
    "road rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel streetcar "
    "sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip turtle "
    "wardrobe whale willow_tree wolf woman worm"
)
SEVERITIES = 5
SHIFTED = {  # name: file of images, file of labels
    "CIFAR-10.1 v4": ("cifar10.1_v4_data.npy", "cifar10.1_v4_labels.npy"),
    "CIFAR-10.1": ("cifar10.1_v6_data.npy", "cifar10.1_v6_labels.npy"),
    "CIFAR-10.2": ("cifar102_test.npz", "cifar102_test.npz"),
}


class Part(NamedTuple):
    """Images (N, 32, 32, 3) uint8, read when they are asked for, with their labels (N,)."""

    images: npt.NDArray[Any]
    labels: npt.NDArray[Any]


def errors_on_cifar_c(scene: Scene, folder: Path) -> tuple[int, dict[str, list[float]]]:
    """Number of images, and errors at five severities by kind.

    Args:
        scene: a run with the classes of CIFAR-10 or CIFAR-100.
        folder: with ``gaussian_noise.npy`` and those of the other fourteen kinds, (5 N, 32, 32, 3) uint8 with
            the N test images at severity 1 first, and ``labels.npy``, (5 N,). At most ``limit`` of the N are
            looked at.

    Raises:
        ValueError: a file is missing or has another layout, or the run has other classes.
    """
    missing = [kind for kind in (*CORRUPTIONS, "labels") if not (folder / f"{kind}.npy").is_file()]
    if missing:
        raise UserError(
            f"{folder}: expected labels.npy and the files of {len(CORRUPTIONS)} corruptions of CIFAR-C, "
            f"found no {missing[0]}.npy" + (f" and {len(missing) - 1} others" if len(missing) > 1 else "")
        )
    labels = _load(folder / "labels.npy")
    count = len(labels) // SEVERITIES
    chosen = _some(scene, count)
    errors = {}
    for number, kind in enumerate(CORRUPTIONS):
        part = _part(folder / f"{kind}.npy", _load(folder / f"{kind}.npy"), labels)
        if len(labels) % SEVERITIES:
            raise UserError(
                f"{folder}: expected as many images at each of 5 severities, got {len(labels)} in all"
            )
        errors[kind] = [_error(scene, part, severity * count + chosen) for severity in range(SEVERITIES)]
        if scene.progress is not None:
            scene.progress("reading corrupted images", number + 1, len(CORRUPTIONS))
    return len(chosen), errors


def errors_on_shifted(scene: Scene, folder: Path) -> dict[str, dict[str, float]]:
    """Number of images and error on each set that is there: CIFAR-10.1 (v4 and v6) and the test part of
    CIFAR-10.2, all images of each.

    Args:
        scene: a run with the classes of CIFAR-10.
        folder: with ``cifar10.1_v6_data.npy`` and ``cifar10.1_v6_labels.npy``, those of v4, or
            ``cifar102_test.npz`` with "images" and "labels".

    Raises:
        ValueError: none of them is there, one has another layout, or the run has other classes.
    """
    found = {}
    for name, (images, labels) in SHIFTED.items():
        if not (folder / images).is_file():
            continue
        part = _part(folder / images, _load(folder / images, "images"), _load(folder / labels, "labels"))
        rows = np.arange(len(part.labels))
        found[name] = {"images": len(rows), "error": _error(scene, part, rows)}
    if not found:
        names = ", ".join(images for images, _ in SHIFTED.values())
        raise UserError(f"{folder}: expected one of {names}, found none")
    return found


def _load(file: Path, key: str = "") -> npt.NDArray[Any]:
    try:
        if file.suffix == ".npz":
            with np.load(file, allow_pickle=False) as parts:
                return np.asarray(parts[key])
        return np.asarray(np.load(file, mmap_mode="r", allow_pickle=False))
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise UserError(f"{file} cannot be read as arrays of NumPy: {error}") from error


def _part(file: Path, images: npt.NDArray[Any], labels: npt.NDArray[Any]) -> Part:
    if images.ndim != 4 or images.shape[1:] != (32, 32, 3) or images.dtype != np.uint8:
        raise UserError(f"{file}: expected images (N, 32, 32, 3) of uint8, got {images.dtype} {images.shape}")
    if labels.shape != images.shape[:1] or labels.dtype.kind not in "iu":
        raise UserError(f"{file}: expected {len(images)} labels, got {labels.dtype} {labels.shape}")
    return Part(images, labels)


def _some(scene: Scene, count: int) -> npt.NDArray[np.int64]:
    """At most ``limit`` of so many rows, drawn by the seed, in order."""
    drawn = np.random.default_rng(scene.options.suite_seed).permutation(count)
    return np.sort(drawn[: scene.options.limit])


def _error(scene: Scene, part: Part, rows: npt.NDArray[np.int64]) -> float:
    labels = _numbers(scene, part.labels[rows])
    trained = scene.answered.trained
    pixels = torch.from_numpy(np.ascontiguousarray(part.images[rows])).permute(0, 3, 1, 2)
    source = read_images(pixels, trained.form, "CIFAR").source
    chunks = torch.split(torch.arange(len(source)), at_once(source.shape, CHUNK[trained.device.type]))
    found = [scene.logits(batch).argmax(dim=1).cpu() for batch in source.batches(chunks, trained.device)]
    return float((torch.cat(found) != labels).double().mean())


def _numbers(scene: Scene, labels: npt.NDArray[Any]) -> Tensor:
    """The labels of the files, as the run numbers its classes."""
    classes = scene.answered.classes
    names = next((known for known in (CIFAR10.split(), CIFAR100.split()) if known == sorted(classes)), None)
    if names is None:
        raise UserError(
            "these files are of the classes of CIFAR-10 or CIFAR-100 (airplane, automobile, bird, ...), and "
            f"the run has {', '.join(classes[:3])}, ...: leave them out"
        )
    if not len(labels) or not 0 <= labels.min() <= labels.max() < len(names):
        raise UserError(
            f"expected labels from 0 to {len(names) - 1} in the files of CIFAR, got others or none"
        )
    return torch.tensor([classes.index(name) for name in names])[torch.from_numpy(labels.astype(np.int64))]
