"""CUB-200-2011, birds of 200 species, from the files of its authors or from folders of classes."""

import re
from pathlib import Path

from torchvision.datasets import utils

from ssl_mix.datasets.assembly import Listing, Options, assemble
from ssl_mix.datasets.data import DataSet, files_needed
from ssl_mix.datasets.decode import Fit
from ssl_mix.datasets.decode_many import Progress
from ssl_mix.datasets.fine_grained import IMAGE_SIZE, as_fine_grained, listing
from ssl_mix.datasets.folder import load_folder

NAME, FOLDER = "cub200", "CUB_200_2011"
URL = "https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz"
MD5 = "97eceeb196236b17998738112f37df78"
PREPARED = (".", FOLDER, "CUB200", "cub200")
CLASS = re.compile(r"\d{3}\.")


def load_cub200(
    data_dir: Path,
    *,
    download: bool = False,
    image_size: int = IMAGE_SIZE,
    fit: Fit = "cut",
    memory_budget: int | None = None,
    progress: Progress | None = None,
) -> DataSet:
    """CUB-200-2011: 5,994 training and 5,794 test pictures of birds in 200 species, 29 or 30 for training of each.

    Two layouts are read: that of the authors, with ``images.txt``, ``classes.txt``, ``image_class_labels.txt``, ``train_test_split.txt``
    and ``images/``; and ``train/`` and ``test/`` with a sub-folder per species, named as the authors' are, which published codes of
    transfer learning want. The order of the pictures, and with it the choice of labels by number, differs between them.

    Args:
        data_dir: is the folder with either layout, or holds it as ``CUB_200_2011``; the second may be called ``CUB200`` or ``cub200`` too.
        download: fetch and unpack the authors' archive (1.1 GB) where there is neither.
        image_size: side in pixels at which pictures are stored, at least 8.
        fit: how they become square: "cut" to the central square, or the whole picture "squash".
        memory_budget: bytes; pictures that need more are read from their files again and again. Default: half of the free memory.
        progress: told (what is done, files done, files in all).

    Raises:
        ValueError: the files are not there or damaged, or the download failed.
    """
    prepared = None if _official(data_dir) else _prepared(data_dir)
    if prepared is not None:
        data = load_folder(
            prepared / "train",
            prepared / "test",
            image_size=image_size,
            fit=fit,
            memory_budget=memory_budget,
            progress=progress,
        )
        return as_fine_grained(NAME, data)
    with files_needed(NAME, data_dir, FOLDER, f"fetch {URL} by hand and unpack it in {data_dir}", download):
        if download and _official(data_dir) is None:
            utils.download_and_extract_archive(URL, str(data_dir), md5=MD5)
        train, test, classes = _read(_official(data_dir) or data_dir / FOLDER)
    options = Options(image_size, memory_budget, progress, fit)
    return as_fine_grained(NAME, assemble(train, test, classes, (), options))


def _official(data_dir: Path) -> Path | None:
    folders = (data_dir / FOLDER, data_dir)
    return next((folder for folder in folders if (folder / "train_test_split.txt").is_file()), None)


def _prepared(data_dir: Path) -> Path | None:
    """The folder with ``train`` and ``test``, if its classes are named as those of this data set: a data folder may hold others."""
    folders = (data_dir / name for name in PREPARED)
    return next((folder for folder in folders if _has_species(folder)), None)


def _has_species(folder: Path) -> bool:
    parts = [folder / "train", folder / "test"]
    names = [entry.name for part in parts if part.is_dir() for entry in part.iterdir() if entry.is_dir()]
    return all(part.is_dir() for part in parts) and bool(names) and all(map(CLASS.match, names))


def _read(folder: Path) -> tuple[Listing, Listing, tuple[str, ...]]:
    """Each file's lines are a number from 1 and what belongs to it."""
    names = ("images.txt", "image_class_labels.txt", "train_test_split.txt", "classes.txt")
    images, labels, parts, classes = (_table(folder / name) for name in names)
    ordered = sorted(classes, key=int)
    positions = {number: position for position, number in enumerate(ordered)}

    def part(flag: str) -> Listing:
        chosen = [number for number in images if parts[number] == flag]
        files = [folder / "images" / images[number] for number in chosen]
        return listing(files, [positions[labels[number]] for number in chosen])

    return part("1"), part("0"), tuple(classes[number] for number in ordered)


def _table(path: Path) -> dict[str, str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return {key: value.strip() for key, value in (line.split(maxsplit=1) for line in lines if line.strip())}
