"""How often the run is wrong on the published files of CIFAR-10-C and CIFAR-100-C, of CIFAR-10.1 and of
CIFAR-10.2."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ssl_mix.datasets.read_images import read_images
from ssl_mix.errors import UserError, counts_of
from ssl_mix.evaluation import CORRUPTIONS, corruption_errors
from ssl_mix.evaluation.accuracy import CHUNK, at_once
from ssl_mix.evaluation.corruptions import SEVERITIES
from ssl_mix.suites.figures import new_figure
from ssl_mix.suites.suite import Scene
from ssl_mix.suites.words import images, percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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
ANEW = {  # name: file of images, file of labels
    "CIFAR-10.1 v4": ("cifar10.1_v4_data.npy", "cifar10.1_v4_labels.npy"),
    "CIFAR-10.1": ("cifar10.1_v6_data.npy", "cifar10.1_v6_labels.npy"),
    "CIFAR-10.2": ("cifar102_test.npz", "cifar102_test.npz"),
}


class Part(NamedTuple):
    """Images (N, 32, 32, 3) uint8, read when they are asked for, with their labels (N,)."""

    images: npt.NDArray[Any]
    labels: npt.NDArray[Any]


def measure(scene: Scene) -> dict[str, Any]:
    """Errors on what the folder holds, of at most ``limit`` images of each set, beside that on the test
    part."""
    if scene.options.shifted is None:
        raise UserError("name a folder of files of CIFAR-10-C, CIFAR-10.1 or CIFAR-10.2 with `shifted=DIR`")
    folder = Path(scene.options.shifted)
    kinds = [kind for kind in CORRUPTIONS if (folder / f"{kind}.npy").is_file()]
    anew = {name: files for name, files in ANEW.items() if (folder / files[0]).is_file()}
    if not kinds and not anew:
        raise UserError(f"{folder} holds no file of CIFAR-10-C, CIFAR-10.1 or CIFAR-10.2 (`shifted`)")
    answered, errors, found = scene.answered, {}, {}
    for number, kind in enumerate(kinds, start=1):
        errors[kind] = _by_severity(scene, folder, kind)
        scene.tell("reading corrupted images", number, len(kinds))
    for name, (pixels, labels) in anew.items():
        part = _part(folder / pixels, _load(folder / pixels, "images"), _load(folder / labels, "labels"))
        found[name] = _error(scene, part, _some(scene, len(part.labels)))
    wrong = answered.logits.argmax(dim=1) != answered.labels
    numbers: dict[str, Any] = {
        "images": len(wrong),
        "error": float(wrong.double().mean()),
        "corrupted": errors,
        "anew": found,
    }
    if errors:
        table = torch.tensor([[part["error"] for part in parts] for parts in errors.values()])
        numbers["mean_corruption_error"] = float(corruption_errors(table).mean())
    return numbers


def _by_severity(scene: Scene, folder: Path, kind: str) -> list[dict[str, float]]:
    """Of a file with five severities of the same images after each other."""
    file = folder / f"{kind}.npy"
    part = _part(file, _load(file), _load(folder / "labels.npy"))
    if len(part.labels) % len(SEVERITIES):
        raise UserError(
            f"{file}: expected as many images at each of 5 severities, got {len(part.labels)} in all"
        )
    count = len(part.labels) // len(SEVERITIES)
    chosen = _some(scene, count)
    return [_error(scene, part, place * count + chosen) for place in range(len(SEVERITIES))]


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
        raise UserError(
            f"{file}: expected {counts_of(len(images), 'label')}, got {labels.dtype} {labels.shape}"
        )
    return Part(images, labels)


def _some(scene: Scene, count: int) -> npt.NDArray[np.int64]:
    """At most ``limit`` of so many rows, drawn by the seed, in order."""
    drawn = np.random.default_rng(scene.options.suite_seed).permutation(count)
    return np.sort(drawn[: scene.options.limit])


def _error(scene: Scene, part: Part, rows: npt.NDArray[np.int64]) -> dict[str, float]:
    """Number of images and share that is wrong, of some rows."""
    labels, trained = _numbers(scene, part.labels[rows]), scene.answered.trained
    pixels = torch.from_numpy(np.ascontiguousarray(part.images[rows])).permute(0, 3, 1, 2)
    source, right = read_images(pixels, trained.form, "CIFAR").source, 0
    chunks = torch.split(torch.arange(len(source)), at_once(source.shape, CHUNK[trained.device.type]))
    for chunk, batch in zip(chunks, source.batches(chunks, trained.device), strict=True):
        right += scene.right(trained.augmentation.plain(batch), labels[chunk].to(trained.device))
    return {"images": len(rows), "error": 1 - right / len(rows)}


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


def rows(numbers: dict[str, Any]) -> list[tuple[str, str]]:
    """Every number in words."""
    found = [("error on the test part", f"{percent(numbers['error'])} of {images(numbers['images'])}")]
    kinds = numbers["corrupted"]
    if kinds:
        what = f"mean corruption error, {len(kinds)} of {len(CORRUPTIONS)} kinds at 5 severities"
        found.append((what, percent(numbers["mean_corruption_error"])))
    for kind, parts in kinds.items():
        each = ", ".join(f"{100 * part['error']:.1f}" for part in parts)
        count = images(parts[0]["images"])
        found.append((f"error, {kind.replace('_', ' ')}, by severity", f"{each} % of {count} each"))
    for name, part in numbers["anew"].items():
        found.append((f"error on {name}", f"{percent(part['error'])} of {images(part['images'])}"))
    return found


def draw(numbers: dict[str, Any]) -> "Figure | None":
    """A bar for the mean over the severities of each kind, and for each set that was collected anew."""
    means = {
        kind.replace("_", " "): sum(part["error"] for part in parts) / len(parts)
        for kind, parts in numbers["corrupted"].items()
    }
    means |= {name: part["error"] for name, part in numbers["anew"].items()}
    figure = new_figure(6, 0.26 * len(means) + 1)
    axes = figure.add_subplot()
    axes.barh(list(means), [100 * mean for mean in means.values()])
    axes.invert_yaxis()
    axes.axvline(100 * numbers["error"], color="black", linestyle="--", linewidth=1)
    axes.set_xlabel("error in %, mean over severities; dashed: the test part")
    return figure
