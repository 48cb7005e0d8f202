"""Files of a run that may be damaged, cut short, or written by something else."""

import inspect
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_type_hints

import torch

from ssl_mix.errors import UserError, fits

AGAIN = "put a copy in its place, or train again"


class DamagedError(UserError):
    """The content of a file is refused, by a message that does not know which file it is of."""


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn whatever goes wrong while the content of a file is used into one message that names the file.

    Raises:
        ValueError: the content is not what ssl-mix writes.
    """
    check_ordinary(path)
    try:
        yield
    except DamagedError as error:
        raise UserError(_damaged(path, str(error))) from error
    except (UserError, OSError, MemoryError, torch.OutOfMemoryError):  # say themselves what is wrong
        raise
    except Exception as error:  # what the content of a file can lead to has no end
        raise UserError(_damaged(path, reason_of(error))) from error


def _damaged(path: Path, reason: str) -> str:
    return f"{path} is damaged, or not of this version of ssl-mix ({reason}): {AGAIN}"


def check_ordinary(path: Path) -> None:
    """Raise for a folder, a pipe or a device in the place of a file, of which reading may never end."""
    if path.exists() and not path.is_file():
        raise UserError(f"{path} is no ordinary file: {AGAIN}")


def reason_of(error: Exception) -> str:
    """The first line of what an error says, with its kind."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def load_whole(path: Path) -> Any:
    """What ``torch.save`` wrote, on the CPU: check sums verified, nothing but tensors and plain values
    loaded.

    Raises:
        ValueError: the file is cut short, damaged or of something else.
    """
    check_ordinary(path)
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged is None:
            return torch.load(path, map_location="cpu", weights_only=True)
    except (FileNotFoundError, MemoryError):
        raise
    except zipfile.BadZipFile as error:
        raise UserError(f"{path} is cut short or no checkpoint at all ({error})") from error
    except Exception as error:  # a damaged archive, or what torch.load does not know
        raise UserError(f"{path} is not a checkpoint of ssl-mix ({reason_of(error)})") from error
    raise UserError(f"{path} is damaged: {damaged} does not match its check sum")


def build(cls: Callable[..., Any], values: Mapping[str, Any]) -> Any:
    """``cls(**values)`` of values that were read from JSON.

    Raises:
        DamagedError: a name is unknown or missing, or a value is of another kind or out of range.
    """
    names, hints = set(inspect.signature(cls).parameters), get_type_hints(getattr(cls, "__init__", cls))
    if names != values.keys():
        wrong = sorted(names ^ values.keys())
        what = "is missing" if wrong[0] in names else "is no option here"
        raise DamagedError(f"{wrong[0]!r} {what}")
    for name, value in values.items():
        if not fits(value, hints[name]):
            raise DamagedError(f"{name} cannot be {value!r}")
    return made(cls, values)


def made(cls: Callable[..., Any], values: Mapping[str, Any]) -> Any:
    """``cls(**values)`` of values that were read from a file.

    Raises:
        DamagedError: ``cls`` refuses them.
    """
    try:
        return cls(**values)
    except UserError as error:
        raise DamagedError(str(error)) from error
