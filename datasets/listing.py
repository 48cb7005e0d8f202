"""Which image files a folder holds, and which of them are the same."""

import hashlib
import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from ssl_mix.datasets.decode import read_bytes
from ssl_mix.datasets.formats import suffix_of, suffixes
from ssl_mix.errors import UserError

# What systems and programs leave beside somebody's images, some of it images too.
JUNK = {"__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "@eadir", "$recycle.bin", "lost+found"}
JUNK |= {"system volume information"}


class Found(NamedTuple):
    """What a folder and those below it hold, each in a fixed order.

    Attributes:
        images: files whose names end as those of images do.
        others: other files.
        notes: of folders that were not looked into, for the user.
    """

    images: list[Path]
    others: list[Path]
    notes: list[str]


def list_images(folder: Path) -> list[Path]:
    """The files in ``folder`` and below whose names end as those of images do, in a fixed order.

    All that Pillow decodes are, and HEIF where pillow-heif is installed. Links are followed, each folder
    once, but for those that lead to a folder around ``folder``. Files and folders whose names begin with a
    dot are passed over, and so is what systems leave behind (``__MACOSX``, ``Thumbs.db``, ...).

    Args:
        folder: where to look.

    Returns:
        Paths that begin with ``folder``.

    Examples:
        >>> [path.as_posix() for path in list_images(Path("train"))]
        ['train/cat/1.png', 'train/cat/2.png', 'train/dog/1.png', 'train/dog/2.png']
    """
    return look_through(folder).images


def look_through(folder: Path, apart: Collection[Path] = ()) -> Found:
    """``list_images``, with the other files and what the user must be told.

    Args:
        folder: where to look.
        apart: other folders, of which nothing is listed even where links lead there: those of other classes.
    """
    found = Found([], [], [])
    root = os.path.realpath(folder)
    seen, barred = {root}, {os.path.realpath(other) for other in apart} - {root}
    unread: list[OSError] = []
    for parent, folders, names in os.walk(folder, followlinks=True, onerror=unread.append):
        entered = []
        for name in sorted(name for name in folders if not is_junk(name)):
            place = os.path.realpath(os.path.join(parent, name))
            if _is_within(root, place) or any(_is_within(place, other) for other in barred):
                if place != root:
                    found.notes.append(f"left out {Path(parent, name)}, which leads to {place}")
            elif place not in seen:
                seen.add(place)
                entered.append(name)
        folders[:] = entered
        for name in sorted(name for name in names if not is_junk(name)):
            (found.images if suffix_of(name) in suffixes() else found.others).append(Path(parent, name))
    found.notes.extend(f"cannot look into {error.filename}: {error.strerror}" for error in unread)
    return found


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


def find_copies(files: Sequence[Path], originals: Sequence[Path]) -> set[Path]:
    """Those of ``files`` that have the same bytes as one of ``originals``; links and the file itself count.

    Only files of a size that occurs on both sides are read.

    Args:
        files: to look at.
        originals: to compare them with.
    """
    sizes = {file: os.path.getsize(file) for file in {*files, *originals} if os.path.exists(file)}
    shared = {sizes.get(file) for file in files} & {sizes.get(file) for file in originals}
    contents = {_content(file) for file in originals if sizes.get(file) in shared}
    return {file for file in files if sizes.get(file) in shared and _content(file) in contents}


def _content(file: Path) -> str:
    try:
        return hashlib.sha256(read_bytes(file)).hexdigest()
    except (OSError, UserError):
        return str(file)  # equal to no other; reading the image will tell what is wrong


def _is_within(place: str, folder: str) -> bool:
    """Whether a real path is that of ``folder``, or of something in it."""
    return place == folder or place.startswith(folder.rstrip(os.sep) + os.sep)
