"""The data sets of fine-grained transfer, a row each in ``FINE_GRAINED``: images in files, seen in resized
crops.

CUB-200-2011 is read from its authors' files or from folders of classes; torchvision finds and downloads the
files of the others.
"""

import dataclasses
import re
import textwrap
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

from torchvision import datasets
from torchvision.datasets import utils

from ssl_mix.datasets.assembly import Listing, Options, assemble
from ssl_mix.datasets.data import DataSet, files_needed
from ssl_mix.datasets.decode import Fit
from ssl_mix.datasets.decode_many import Progress
from ssl_mix.datasets.folder import list_parts
from ssl_mix.datasets.packed import Paths
from ssl_mix.errors import checking_kinds

IMAGE_SIZE = 224
CUB_URL = "https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz"
CUB_MD5 = "97eceeb196236b17998738112f37df78"
CUB_FOLDERS = (".", "CUB_200_2011", "CUB200", "cub200")
CUB_CLASS = re.compile(r"\d{3}\.")
CARS_BY_HAND = (
    "it cannot be downloaded, since its authors' address is gone: get a copy by hand with cars_train/, "
    "cars_test/, devkit/ (cars_meta.mat "
    "and cars_train_annos.mat) and cars_test_annos_withlabels.mat, or take one with a folder per class: "
    "`data=folder` `train=DIR` `test=DIR`"
)


class Files(NamedTuple):
    """What is in a data set's files."""

    train: Listing
    test: Listing
    classes: tuple[str, ...]


class Source(NamedTuple):
    """Where the files of a data set are.

    Attributes:
        folder: that holds them, below the folder for data.
        read: what is in them, fetched first if that is asked for.
        by_hand: how to get them where a download is impossible; {data_dir} and {place} stand for the folders
            that they go to.
        offered: whether anybody offers a download.
    """

    folder: str
    read: Callable[[Path, bool], Files]
    by_hand: str
    offered: bool = True


def fine_grained(name: str, about: str, note: str, source: Source) -> Callable[..., DataSet]:
    """The loader of a data set, with ``about`` and ``note`` in its docstring."""

    @checking_kinds
    def load(
        data_dir: Path,
        *,
        download: bool = False,
        image_size: int = IMAGE_SIZE,
        fit: Fit = "cut",
        memory_budget: int | None = None,
        progress: Progress | None = None,
    ) -> DataSet:
        by_hand = source.by_hand.format(data_dir=data_dir, place=data_dir / source.folder)
        with files_needed(name, data_dir, source.folder, by_hand, download if source.offered else None):
            files = source.read(data_dir, download and source.offered)
        data = assemble(*files, (), Options(image_size, memory_budget, progress, fit))
        augmentation = dataclasses.replace(data.of_pixels, crop="resized")
        return dataclasses.replace(data, name=name, augmentation=augmentation)

    load.__name__ = load.__qualname__ = f"load_{name.replace('-', '_')}"
    note = textwrap.indent(textwrap.fill(note, 100), "    ")
    load.__doc__ = f"{about}\n\n{note}" + _ARGUMENTS.format(folder=source.folder)
    return load


_ARGUMENTS = """

    The weak view enlarges a random part of each image, as is usual for ImageNet.

    Args:
        data_dir: folder that holds, or is to hold, ``{folder}``.
        download: fetch the files if they are not there.
        image_size: side in pixels at which images are stored, at least 8.
        fit: how they become square: "cut" to the central square, or the whole image "squash".
        memory_budget: bytes; images that need more are read from their files again and again. Default: half
            of the free memory.
        progress: told (what is done, files done, files in all).

    Raises:
        ValueError: the files are not there or damaged, or the download failed.
    """


def listing(files: Iterable[str | PathLike[str]], labels: Iterable[int]) -> Listing:
    """Files and labels, whole numbers of any type, as torchvision or an annotation file has them."""
    return Listing(Paths(files), [int(label) for label in labels])


def _cub(data_dir: Path, download: bool) -> Files:
    """Two layouts are read: the authors', and ``train/`` and ``test/`` with a sub-folder per species, named
    as the authors' are, which
    published codes of transfer learning want. The order of the images, and with it the choice of labels by
    number, differs."""
    official = _official_cub(data_dir)
    prepared = next((data_dir / name for name in CUB_FOLDERS if _has_species(data_dir / name)), None)
    if official is None and prepared is not None:
        return Files(*list_parts(prepared / "train", prepared / "test"))
    if official is None and download:
        utils.download_and_extract_archive(CUB_URL, str(data_dir), md5=CUB_MD5)
    return _read_cub(_official_cub(data_dir) or data_dir / "CUB_200_2011")


def _official_cub(data_dir: Path) -> Path | None:
    folders = (data_dir / "CUB_200_2011", data_dir)
    return next((folder for folder in folders if (folder / "train_test_split.txt").is_file()), None)


def _has_species(folder: Path) -> bool:
    """Whether the classes in ``train`` and ``test`` are named as those of this data set: a data folder may
    hold others."""
    parts = [folder / "train", folder / "test"]
    names = [entry.name for part in parts if part.is_dir() for entry in part.iterdir() if entry.is_dir()]
    return all(part.is_dir() for part in parts) and bool(names) and all(map(CUB_CLASS.match, names))


def _read_cub(folder: Path) -> Files:
    """Each file's lines are a number from 1 and what belongs to it."""
    names = ("images.txt", "image_class_labels.txt", "train_test_split.txt", "classes.txt")
    images, labels, parts, classes = (_numbered(folder / name) for name in names)
    ordered = sorted(classes, key=int)
    positions = {number: position for position, number in enumerate(ordered)}

    def part(flag: str) -> Listing:
        chosen = [number for number in images if parts[number] == flag]
        files = [folder / "images" / images[number] for number in chosen]
        return listing(files, [positions[labels[number]] for number in chosen])

    return Files(part("1"), part("0"), tuple(classes[number] for number in ordered))


def _numbered(path: Path) -> dict[str, str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return {key: value.strip() for key, value in (line.split(maxsplit=1) for line in lines if line.strip())}


def _from_torchvision(
    source: Any, train: Sequence[str], items: Callable[[Any], Iterable[tuple[Any, int]]]
) -> Callable[[Path, bool], Files]:
    """A reader of torchvision's ``source``: its splits ``train`` one behind the other, and its split
    "test"."""

    def read(data_dir: Path, download: bool) -> Files:
        options = {"download": True} if download else {}
        parts = [source(str(data_dir), split=split, **options) for split in (*train, "test")]
        listings = [listing(*zip(*items(part), strict=True)) for part in parts]
        files, labels = (list(chain(*columns)) for columns in zip(*listings[:-1], strict=True))
        joined = listing(files, labels)
        return Files(joined, listings[-1], tuple(parts[0].classes))

    return read


def _pairs(images: str, labels: str) -> Callable[[Any], Iterable[tuple[Any, int]]]:
    """The files and labels of a data set of torchvision, from its two lists of those names."""
    return lambda part: zip(getattr(part, images), getattr(part, labels), strict=True)


_PETS = " and ".join(url for url, _ in datasets.OxfordIIITPet._RESOURCES)
_FLOWERS = datasets.Flowers102
_FLOWER_URLS = ", ".join(_FLOWERS._download_url_prefix + file for file, _ in _FLOWERS._file_dict.values())

FINE_GRAINED: dict[str, Callable[..., DataSet]] = {
    "cub200": fine_grained(
        "cub200",
        "CUB-200-2011: 5,994 training and 5,794 test images of birds in 200 species, 29 or 30 a species.",
        "Read from the files of its authors, or from ``train/`` and ``test/`` with a sub-folder per species, "
        "named as the authors' are, which published codes of transfer learning want. The order of the "
        "images, "
        "and with it the choice of labels by number, differs.",
        Source("CUB_200_2011", _cub, f"fetch {CUB_URL} by hand and unpack it in {{data_dir}}"),
    ),
    "stanford-cars": fine_grained(
        "stanford-cars",
        "Stanford-Cars: 8,144 training and 8,041 test images in 196 models, 24 to 68 for training of each.",
        "Published lists of labeled images (``train/171/014016.jpg``) are of the authors' other archive, "
        "which "
        "numbers both parts in one row; they fit folders of classes made from that one, not these files.",
        Source(
            "stanford_cars",
            _from_torchvision(datasets.StanfordCars, ("train",), lambda part: part._samples),
            CARS_BY_HAND,
            offered=False,
        ),
    ),
    "fgvc-aircraft": fine_grained(
        "fgvc-aircraft",
        "FGVC-Aircraft: 6,667 training and 3,333 test images in 100 variants, 66 or 67 for training of each.",
        'The training part is the authors\' "trainval", as in published transfer learning; their images keep '
        "the line of text at the bottom.",
        Source(
            "fgvc-aircraft-2013b",
            _from_torchvision(datasets.FGVCAircraft, ("trainval",), _pairs("_image_files", "_labels")),
            f"fetch {datasets.FGVCAircraft._URL} by hand and unpack it in {{data_dir}}",
        ),
    ),
    "oxford-pets": fine_grained(
        "oxford-pets",
        "Oxford-IIIT Pet: 3,680 training and 3,669 test images in 37 breeds.",
        'The training part is the authors\' "trainval".',
        Source(
            "oxford-iiit-pet",
            _from_torchvision(datasets.OxfordIIITPet, ("trainval",), _pairs("_images", "_labels")),
            f"fetch {_PETS} by hand and unpack them in {{place}}",
        ),
    ),
    "oxford-flowers": fine_grained(
        "oxford-flowers",
        "Oxford Flowers-102: 2,040 training and 6,149 test images in 102 kinds, 20 for training of each.",
        'The training part is the authors\' "train" and behind it their "val", 1,020 images each, as is '
        "usual in transfer learning; tables of learning from 10 images a class are of the first half alone "
        "(``label_list`` can choose it).",
        Source(
            "flowers-102",
            _from_torchvision(_FLOWERS, ("train", "val"), _pairs("_image_files", "_labels")),
            f"fetch {_FLOWER_URLS} by hand into {{place}} and unpack the first there",
        ),
    ),
}
