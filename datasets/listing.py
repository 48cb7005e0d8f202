"""Which image files a folder holds, and which of them are the same."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from ssl_mix.errors import UserError

EXTENSIONS = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif"}


def list_images(folder: Path) -> list[Path]:
    """The files in ``folder`` and below whose names end as those of images do, in a fixed order.

    Links are followed, each folder once. Files and folders whose names begin with a dot are passed over.

    Args:
        folder: where to look.

    Returns:
        Paths that begin with ``folder``.

    Examples:
        >>> [path.as_posix() for path in list_images(Path("train"))]
        ['train/cat/1.png', 'train/cat/2.png', 'train/dog/1.png', 'train/dog/2.png']
    """
    found: list[Path] = []
    seen = {os.path.realpath(folder)}
    for parent, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [
            name for name in sorted(folders) if not name.startswith(".") and _first_visit(parent, name, seen)
        ]
        found += [Path(parent, name) for name in sorted(names) if _is_image(name)]
    return found


def list_classes(folder: Path) -> dict[str, list[Path]]:
    """The images in each sub-folder, in the order of their names; a sub-folder is a class.

    Args:
        folder: holds the sub-folders.

    Raises:
        ValueError: the folder is missing, or has no sub-folders.
    """
    check_folder(folder)
    names = sorted(
        entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith(".")
    )
    if not names:
        found = "images but no sub-folders" if images_beside(folder) else "no sub-folders"
        raise UserError(
            f"{folder} holds {found}: expected one sub-folder per class, as in {folder / 'cat' / '1.jpg'} "
            f"and {folder / 'dog' / '2.jpg'}"
        )
    return {name: list_images(folder / name) for name in names}


def images_beside(folder: Path) -> list[Path]:
    """The images directly in ``folder``, beside its sub-folders."""
    return sorted(entry for entry in folder.iterdir() if entry.is_file() and _is_image(entry.name))


def check_folder(folder: Path) -> None:
    """Raise unless ``folder`` is one."""
    if not folder.is_dir():
        found = "a file" if folder.exists() else "nothing"
        raise UserError(f"expected a folder of images at {folder}, found {found}")


def check_classes(members: dict[str, list[Path]], folder: Path) -> None:
    """Raise unless ``folder`` has two classes or more, each with an image."""
    if len(members) < 2:
        raise UserError(
            f"{folder} holds the one class {next(iter(members))!r}: expected two or more sub-folders"
        )
    for name, files in members.items():
        if not files:
            raise UserError(
                f"class {name!r} has no image in {folder / name}: add some, or remove the sub-folder"
            )


def check_same_classes(classes: Sequence[str], test: dict[str, list[Path]], folder: Path) -> None:
    """Raise unless the test folder has images of exactly the classes of the training folder."""
    extra = sorted(test.keys() - set(classes))
    if extra:
        raise UserError(
            f"{folder} holds {', '.join(map(repr, extra))}, which the training folder does not: "
            f"expected the classes {', '.join(map(repr, classes))}"
        )
    missing = [name for name in classes if not test.get(name)]
    if missing:
        raise UserError(
            f"{folder} has no test image of {', '.join(map(repr, missing))}: each class needs some"
        )


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
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError:
        return str(file)  # equal to no other; reading the image will tell what is wrong


def _is_image(name: str) -> bool:
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in EXTENSIONS


def _first_visit(parent: str, name: str, seen: set[str]) -> bool:
    place = os.path.realpath(os.path.join(parent, name))
    is_new = place not in seen
    seen.add(place)
    return is_new
