"""Which image files a folder holds, and which of them are the same."""

import hashlib
import os
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from ssl_mix.datasets.decode import check_regular, read_bytes
from ssl_mix.datasets.formats import suffix_of, suffixes
from ssl_mix.datasets.packed import Paths
from ssl_mix.errors import UserError, checking_kinds

# What systems and programs leave beside somebody's images, some of it images too.
JUNK = {"__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "@eadir", "$recycle.bin", "lost+found"}
JUNK |= {"system volume information"}
END = 512  # bytes: of a compressed image as good as the whole


class Found(NamedTuple):
    """What a folder and those below it hold, each in a fixed order.

    Attributes:
        images: files whose names end as those of images do.
        others: other files.
        notes: of folders that were not looked into, for the user.
    """

    images: Paths
    others: Paths
    notes: list[str]


@checking_kinds
def list_images(folder: Path) -> list[Path]:
    """The files in ``folder`` and below whose names end as those of images do, in a fixed order.

    All that Pillow decodes are, and HEIF where pillow-heif is installed. Links are followed, each folder
    once, but for those that lead to a folder around ``folder``. Files and folders whose names begin with a
    dot are passed over, and so is what systems leave behind (``__MACOSX``, ``Thumbs.db``, ...).

    Args:
        folder: where to look.

    Returns:
        Paths that begin with ``folder``.

    Raises:
        ValueError: it is none.

    Examples:
        >>> [path.as_posix() for path in list_images(Path("train"))]
        ['train/cat/1.png', 'train/cat/2.png', 'train/dog/1.png', 'train/dog/2.png']
    """
    check_folder(folder)
    return list(look_through(folder).images)


def look_through(folder: Path, apart: Collection[Path] = ()) -> Found:
    """``list_images``, with the other files and what the user must be told.

    Args:
        folder: where to look.
        apart: other folders, of which nothing is listed even where links lead there: those of other classes.
    """
    images: list[str] = []
    others: list[str] = []
    notes: list[str] = []
    root = os.path.realpath(folder)
    seen, barred = {root}, {os.path.realpath(other) for other in apart} - {root}
    unread: list[OSError] = []
    known = suffixes().keys()
    for parent, folders, names in os.walk(folder, followlinks=True, onerror=unread.append):
        entered = []
        for name in sorted(name for name in folders if not is_junk(name)):
            place = os.path.realpath(os.path.join(parent, name))
            if _is_within(root, place) or any(_is_within(place, other) for other in barred):
                if place != root:
                    notes.append(f"left out {Path(parent, name)}, which leads to {place}")
            elif place not in seen:
                seen.add(place)
                entered.append(name)
        folders[:] = entered
        above = "" if parent == os.curdir else parent  # as pathlib writes it
        for name in sorted(name for name in names if not is_junk(name)):
            (images if suffix_of(name) in known else others).append(os.path.join(above, name))
    notes.extend(f"cannot look into {error.filename}: {error.strerror}" for error in unread)
    return Found(Paths(images), Paths(others), notes)


def is_junk(name: str) -> bool:
    """Whether a file or a folder of that name is hidden, or nobody's own."""
    return name.startswith(".") or name.casefold() in JUNK


def files_beside(folder: Path) -> tuple[list[Path], list[Path]]:
    """The images directly in ``folder``, beside its sub-folders, and the other files there."""
    files = sorted(entry for entry in folder.iterdir() if not entry.is_dir() and not is_junk(entry.name))
    images = [file for file in files if suffix_of(file) in suffixes()]
    return images, [file for file in files if suffix_of(file) not in suffixes()]


def check_folder(folder: Path) -> None:
    """Raise unless ``folder`` is one."""
    if not folder.is_dir():
        found = "a file" if folder.exists() else "nothing"
        raise UserError(f"expected a folder of images at {folder}, found {found}")


def find_copies(files: Paths, originals: Paths) -> set[int]:
    """Positions of those of ``files`` that have the same bytes as one of ``originals``; links and the file
    itself count.

    Only files of a size that occurs on both sides are read, and of those the end first.

    Args:
        files: to look at.
        originals: to compare them with.
    """
    some, others = _by_end(files, {*_sizes(originals)}), _by_end(originals, {*_sizes(files)})
    found = set()
    for end in some.keys() & others.keys():
        contents = {_content(originals[position]) for position in others[end]}
        found |= {position for position in some[end] if _content(files[position]) in contents}
    return found


def _sizes(files: Paths) -> list[int]:
    """Bytes of each file, -1 of one that is not there."""
    return [_size(name) for name in files.names]


def _size(name: str) -> int:
    try:
        return os.stat(name).st_size
    except OSError:
        return -1


def _by_end(files: Paths, sizes: set[int]) -> dict[tuple[int, bytes], list[int]]:
    """Positions of the files of some sizes, by their size and last bytes; of no others."""
    found: dict[tuple[int, bytes], list[int]] = {}
    for position, name in enumerate(files.names):
        size = _size(name)
        if size in sizes and size >= 0:
            found.setdefault((size, _end(name, size)), []).append(position)
    return found


def _end(name: str, size: int) -> bytes:
    try:
        check_regular(name)
        with open(name, "rb", buffering=0) as file:
            file.seek(max(0, size - END))
            return file.read(END)
    except (OSError, UserError):
        return b""  # reading the image will tell what is wrong


def _content(file: Path) -> str:
    try:
        return hashlib.sha256(read_bytes(file)).hexdigest()
    except (OSError, UserError):
        return str(file)  # equal to no other


def _is_within(place: str, folder: str) -> bool:
    """Whether a real path is that of ``folder``, or of something in it."""
    return place == folder or place.startswith(folder.rstrip(os.sep) + os.sep)
