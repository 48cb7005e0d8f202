"""Data sets from folders of image files."""

from itertools import chain
from pathlib import Path

from ssl_mix.datasets.assembly import Listing, Options, assemble
from ssl_mix.datasets.class_folders import check_classes, list_classes
from ssl_mix.datasets.copies import Drop
from ssl_mix.datasets.data import UNKNOWN, DataSet
from ssl_mix.datasets.decode import Fit
from ssl_mix.datasets.decode_many import Progress
from ssl_mix.datasets.formats import others_note
from ssl_mix.datasets.listing import check_folder, find_copies, look_through
from ssl_mix.datasets.matched_classes import match_test
from ssl_mix.datasets.packed import Paths
from ssl_mix.errors import UserError, checking_kinds, counts_of, verb_for


@checking_kinds
def load_folder(
    train: Path,
    test: Path | None = None,
    *,
    image_size: int,
    fit: Fit = "cut",
    memory_budget: int | None = None,
    drop_copies: Drop = "none",
    cache_images: Path | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> DataSet:
    """Your own images: one sub-folder per class, or a folder with labels and one without.

    Classes are in the order of their names. Files that cannot be read are left out and told in the notes.

    Args:
        train: holds a sub-folder of training images per class.
        test: holds sub-folders of test images, whose classes are found by name, see ``match_test``.
        image_size: side in pixels that each image is resized to, at least 8.
        fit: how images become square: "cut" takes the central square, "squash" the whole image.
        memory_budget: bytes; images that need more are read from their files again and again. Default: half
            of the free memory.
        drop_copies: leave out training images that are test images too or in two classes, and all but one of
            several: "exact" by the bytes of their files, "near" by what they look like (with imagehash).
        cache_images: folder for decoded images, which later runs read there, see ``read_cached``.
        workers: processes that read images which are not kept in memory; default: up to 8.
        progress: told (what is done, files done, files in all) from the calling thread.

    Raises:
        ValueError: a folder is missing or laid out differently, or a class has no image that can be read.

    Examples:
        >>> data = load_folder(Path("train"), image_size=8)
        >>> data.classes, data.train.labels
        (('cat', 'dog'), tensor([0, 0, 1, 1]))
    """
    listing, classes, notes = list_labeled(train)
    tested, told = _test_listing(test, classes)
    options = Options(
        image_size,
        memory_budget,
        progress,
        fit,
        workers=workers,
        drop_copies=drop_copies,
        cache_images=cache_images,
    )
    return assemble(listing, tested, classes, notes + told, options)


def list_parts(train: Path, test: Path) -> tuple[Listing, Listing, tuple[str, ...]]:
    """The files and the classes of a folder of training images and one of test images, each with a sub-folder
    per class."""
    listing, classes, _ = list_labeled(train)
    tested, _ = _test_listing(test, classes)
    assert tested is not None
    return listing, tested, classes


@checking_kinds
def load_two_folders(
    labeled: Path,
    unlabeled: Path,
    test: Path | None = None,
    *,
    image_size: int,
    fit: Fit = "cut",
    memory_budget: int | None = None,
    drop_copies: Drop = "none",
    cache_images: Path | None = None,
    workers: int | None = None,
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
        drop_copies: "none", "exact" or "near".
        cache_images: folder for decoded images.
        workers: processes that read images.
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
    both = Paths(chain(listing.files.names, files.names))
    listing = Listing(both, listing.labels + [UNKNOWN] * len(files))
    tested, more = _test_listing(test, classes)
    options = Options(
        image_size,
        memory_budget,
        progress,
        fit,
        workers=workers,
        drop_copies=drop_copies,
        cache_images=cache_images,
    )
    return assemble(listing, tested, classes, [*notes, *more], options)


def list_labeled(folder: Path) -> tuple[Listing, tuple[str, ...], list[str]]:
    """The files in the sub-folders of ``folder``, the classes named as those, and notes."""
    members, notes = list_classes(folder)
    check_classes(members, folder)
    return _flat(members), tuple(members), notes


def list_unlabeled(folder: Path, labeled: Paths) -> tuple[Paths, list[str]]:
    """The files in ``folder`` and below but for copies of ``labeled`` ones, and notes.

    Raises:
        ValueError: there is none.
    """
    check_folder(folder)
    looked = look_through(folder)
    found, notes = looked.images, [*looked.notes, *others_note(looked.others, folder)]
    copies = find_copies(found, labeled)
    files = found.chosen(at for at in range(len(found)) if at not in copies) if copies else found
    if not files:
        why = f"{folder} holds no unlabeled images: found {len(found)}, {len(copies)} of them labeled"
        raise UserError("; ".join([why, *notes, "leave out `unlabeled`, or name a folder with others"]))
    told = (
        f"{len(copies)} of {counts_of(len(found), 'image')} in {folder} {verb_for(len(copies))} labeled too "
        "(the same bytes): left out of the unlabeled part"
    )
    return files, [*notes, told] if copies else notes


def _test_listing(folder: Path | None, classes: tuple[str, ...]) -> tuple[Listing | None, list[str]]:
    if folder is None:
        return None, []
    members, notes = list_classes(folder)
    files = _flat(members).files
    matched = match_test([name for name, found in members.items() for _ in found], classes, str(folder))
    return Listing(files.chosen(matched.kept), matched.numbers), notes + matched.notes


def _flat(members: dict[str, Paths]) -> Listing:
    names = chain.from_iterable(files.names for files in members.values())
    return Listing(
        Paths(names), [label for label, files in enumerate(members.values()) for _ in range(len(files))]
    )
