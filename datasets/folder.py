"""Data sets from folders of picture files."""

from pathlib import Path

from ssl_mix.datasets.assembly import Listing, Options, assemble
from ssl_mix.datasets.data import UNKNOWN, DataSet
from ssl_mix.datasets.decode import Fit
from ssl_mix.datasets.decode_many import Progress
from ssl_mix.datasets.listing import (
    check_classes,
    check_folder,
    check_same_classes,
    find_copies,
    list_classes,
    list_pictures,
    pictures_beside,
)
from ssl_mix.errors import UserError


def load_folder(
    train: Path,
    test: Path | None,
    *,
    image_size: int,
    fit: Fit = "cut",
    memory_budget: int | None = None,
    progress: Progress | None = None,
) -> DataSet:
    """Your own pictures: one sub-folder per class, or a folder with labels and one without.

    Classes are in the order of their names. Files that cannot be read are left out and told in the notes.

    Args:
        train: holds a sub-folder of training pictures per class.
        test: holds the same sub-folders of test pictures.
        image_size: side in pixels that each picture is resized to, at least 8.
        fit: how pictures become square: "cut" takes the central square, "squash" the whole picture.
        memory_budget: bytes; pictures that need more are read from their files again and again. Default: half
            of the free memory.
        progress: told (what is done, files done, files in all) from the calling thread.

    Raises:
        ValueError: a folder is missing or laid out differently, or a class has no picture that can be read.
    """
    listing, classes, notes = _labeled(train)
    options = Options(image_size, memory_budget, progress, fit)
    return assemble(listing, _test_listing(test, classes), classes, notes, options)


def list_parts(train: Path, test: Path) -> tuple[Listing, Listing, tuple[str, ...]]:
    """The files and the classes of a folder of training pictures and one of test pictures, each with a sub-folder per class."""
    listing, classes, _ = _labeled(train)
    tested = _test_listing(test, classes)
    assert tested is not None
    return listing, tested, classes


def load_two_folders(
    labeled: Path,
    unlabeled: Path,
    test: Path | None,
    *,
    image_size: int,
    fit: Fit = "cut",
    memory_budget: int | None = None,
    progress: Progress | None = None,
) -> DataSet:
    """Your own pictures, one folder with labels and one without.

    Pictures of the second folder that are in the first too, as the same file or the same bytes, are left out.

    Args:
        labeled: holds a sub-folder of pictures per class.
        unlabeled: holds pictures, directly or in folders of any depth; their label is -1.
        test: see ``load_folder``, as the following.
        image_size: side in pixels.
        fit: "cut" or "squash".
        memory_budget: bytes.
        progress: told how far it is.

    Raises:
        ValueError: as ``load_folder``, or no unlabelled picture is left.
    """
    listing, classes, notes = _labeled(labeled)
    check_folder(unlabeled)
    found = list_pictures(unlabeled)
    copies = find_copies(found, listing.files)
    files = [file for file in found if file not in copies]
    if not files:
        raise UserError(
            f"{unlabeled} holds no unlabelled pictures: found {len(found)}, {len(copies)} of them labelled"
        )
    if copies:
        notes.append(
            f"{len(copies)} of the {len(found)} pictures in {unlabeled} are labelled ones (the same bytes): "
            "left out of the unlabelled part"
        )
    listing = Listing(listing.files + files, listing.labels + [UNKNOWN] * len(files))
    options = Options(image_size, memory_budget, progress, fit)
    return assemble(listing, _test_listing(test, classes), classes, notes, options)


def _labeled(folder: Path) -> tuple[Listing, tuple[str, ...], list[str]]:
    members = list_classes(folder)
    check_classes(members, folder)
    stray = pictures_beside(folder)
    notes = [f"{len(stray)} pictures directly in {folder} belong to no class: left out"] if stray else []
    return _flat(members), tuple(members), notes


def _test_listing(folder: Path | None, classes: tuple[str, ...]) -> Listing | None:
    if folder is None:
        return None
    members = list_classes(folder)
    check_same_classes(classes, members, folder)
    return _flat(members)


def _flat(members: dict[str, list[Path]]) -> Listing:
    pairs = [(file, label) for label, files in enumerate(members.values()) for file in files]
    return Listing([file for file, _ in pairs], [label for _, label in pairs])
