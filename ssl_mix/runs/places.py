"""What may not lie in one place: images to learn from and to test on, and what is written among images."""

from collections.abc import Mapping
from pathlib import Path

from ssl_mix.errors import UserError


def check_test_is_apart(folders: Mapping[str, str]) -> None:
    """Raise where test images are those that are learned from.

    Args:
        folders: of images, or files, by option.
    """
    for name in ("train", "labeled", "table"):
        folder, test = folders.get(name), folders.get("test")
        if test and folder and Path(test).resolve() == Path(folder).resolve():
            raise UserError(
                f"`test` and `{name}` name the same folder or file: accuracy on images that were learned "
                "from says nothing. Give others, or leave out `test`"
            )


def check_outside(folders: Mapping[str, str], place: str | Path, name: str) -> None:
    """Raise where what is written goes into a folder of images: later runs would find it among them.

    Args:
        folders: of images, or files, by option.
        place: to be written to.
        name: of the option that says so.
    """
    for option, folder in folders.items():
        if Path(place).resolve().is_relative_to(Path(folder).resolve()):
            raise UserError(
                f"`{name}` {place} lies within `{option}` {Path(folder)}, whose images are read again later: "
                f"choose another `{name}`"
            )
