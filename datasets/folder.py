"""Data sets from folders of image files."""

from collections.abc import Sequence
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
    images_beside,
    list_classes,
    list_images,
)
from ssl_mix.errors import UserError


def load_folder(
    train: Path,
    test: Path | None = None,
    *,
    image_size: int,
    fit: Fit = "cut",
    memory_budget: int | None = None,
    progress: Progress | None = None,
) -> DataSet:
    """Your own images: one sub-folder per class, or a folder with labels and one without.

    Classes are in the order of their names. Files that cannot be read are left out and told in the notes.

    Args:
        train: holds a sub-folder of training images per class.
        test: holds the same sub-folders of test images.
        image_size: side in pixels that each image is resized to, at least 8.
        fit: how images become square: "cut" takes the central square, "squash" the whole image.
        memory_budget: bytes; images that need more are read from their files again and again. Default: half
            of the free memory.
        progress: told (what is done, files done, files in all) from the calling thread.

    Raises:
        ValueError: a folder is missing or laid out differently, or a class has no image that can be read.

    Examples:
        >>> data = load_folder(Path("train"), image_size=8)
        >>> data.classes, data.train.labels
        (('cat', 'dog'), tensor([0, 0, 1, 1]))
    """
    listing, classes, notes = list_labeled(train)
    options = Options(image_size, memory_budget, progress, fit)
    return assemble(listing, _test_listing(test, classes), classes, notes, options)


def list_parts(train: Path, test: Path) -> tuple[Listing, Listing, tuple[str, ...]]:
    """The files and the classes of a folder of training images and one of test images, each with a sub-folder
    per class."""
    listing, classes, _ = list_labeled(train)
    tested = _test_listing(test, classes)
    assert tested is not None
    return listing, tested, classes


def load_two_folders(
    labeled: Path,
    unlabeled: Path,
    test: Path | None = None,
    *,
    image_size: int,
    fit: Fit = "cut",
    memory_budget: int | None = None,
    progress: Progress | None = None,
) -> DataSet:
    """Your own images, one folder with labels and one without.

    Images of the second folder that are in the first too, as the same file or the same bytes, are left out.

    Args:
        labeled: holds a sub-folder of images per class.
        unlabeled: holds images, directly or in folders of any depth; their label is -1.
        test: see ``load_folder``, as the following.
        image_size: side in pixels.
        fit: "cut" or "squash".
        memory_budget: bytes.
        progress: told how far it is.

    Raises:
        ValueError: as ``load_folder``, or no unlabeled image is left.

    Examples:
        >>> data = load_two_folders(Path("train"), Path("unlabeled"), image_size=8)
        >>> data.train.labels  # two cats, two dogs, two that nobody has named
        tensor([ 0,  0,  1,  1, -1, -1])
    """
    listing, classes, notes = list_labeled(labeled)
    files, told = list_unlabeled(unlabeled, listing.files)
    notes += told
    listing = Listing(listing.files + files, listing.labels + [UNKNOWN] * len(files))
    options = Options(image_size, memory_budget, progress, fit)
    return assemble(listing, _test_listing(test, classes), classes, notes, options)


def list_labeled(folder: Path) -> tuple[Listing, tuple[str, ...], list[str]]:
    """The files in the sub-folders of ``folder``, the classes named as those, and notes."""
    members = list_classes(folder)
    check_classes(members, folder)
    stray = images_beside(folder)
    notes = [f"{len(stray)} images directly in {folder} belong to no class: left out"] if stray else []
    return _flat(members), tuple(members), notes


def list_unlabeled(folder: Path, labeled: Sequence[Path]) -> tuple[list[Path], list[str]]:
    """The files in ``folder`` and below but for copies of ``labeled`` ones, and notes.

    Raises:
        ValueError: there is none.
    """
    check_folder(folder)
    found = list_images(folder)
    copies = find_copies(found, labeled)
    files = [file for file in found if file not in copies]
    if not files:
        raise UserError(
            f"{folder} holds no unlabeled images: found {len(found)}, {len(copies)} of them labeled"
        )
    told = (
        f"{len(copies)} of the {len(found)} images in {folder} are labeled ones (the same bytes): "
        "left out of the unlabeled part"
    )
    return files, [told] if copies else []


def _test_listing(folder: Path | None, classes: tuple[str, ...]) -> Listing | None:
    if folder is None:
        return None
    members = list_classes(folder)
    check_same_classes(classes, members, folder)
    return _flat(members)


def _flat(members: dict[str, list[Path]]) -> Listing:
    pairs = [(file, label) for label, files in enumerate(members.values()) for file in files]
    return Listing([file for file, _ in pairs], [label for _, label in pairs])
