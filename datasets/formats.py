"""Which files are images: those that Pillow decodes, and HEIF where pillow-heif is installed."""

import collections
import functools
import os
from collections.abc import Iterable
from pathlib import Path

from PIL import Image

# Pillow knows these by name and cannot decode them by itself: EPS starts Ghostscript, a program that runs
# what the file says; WMF is drawn by Windows alone; the others are containers of numbers or films.
NOT_DECODED = {"EPS", "WMF", "BUFR", "GRIB", "HDF5", "MPEG"}
HEIF = {".heic", ".heics", ".heif", ".heifs", ".hif"}
NAMED = 3


@functools.cache
def suffixes() -> dict[str, str]:
    """The formats that are read, by the suffix of a file's name in small letters: those that Pillow decodes,
    with those of pillow-heif where that is installed."""
    Image.init()
    try:
        import pillow_heif
    except ImportError:
        pass
    else:
        pillow_heif.register_heif_opener()
    known = {*Image.OPEN, "MPO"} - NOT_DECODED  # MPO is read as the JPEG that it begins with
    return {suffix: name for suffix, name in Image.registered_extensions().items() if name in known}


def suffix_of(file: str | os.PathLike[str]) -> str:
    """What a file's name ends with, in small letters."""
    return os.path.splitext(file)[1].lower()


def formats_for(file: str | os.PathLike[str]) -> list[str]:
    """The formats in which a file may be: any that is told by its first bytes, since names are often wrong,
    and that of its name. Few formats have no such bytes, and would be found in anything."""
    own = suffixes().get(suffix_of(file))
    known = set(suffixes().values()) & Image.OPEN.keys()
    return [name for name in Image.ID if name in known and (name == own or Image.OPEN[name][1] is not None)]


def others_note(others: Iterable[Path], where: str | os.PathLike[str]) -> list[str]:
    """A note of files that are no images by their suffix, counted and named; none where there are none."""
    by_suffix = collections.defaultdict(list)
    for file in others:
        by_suffix[suffix_of(file)].append(file.name)
    if not by_suffix:
        return []
    told = ", ".join(
        f"{len(names)} {suffix or 'without suffix'} ({', '.join(names[:NAMED])}"
        f"{', ...' if len(names) > NAMED else ''})"
        for suffix, names in sorted(by_suffix.items(), key=lambda item: -len(item[1]))
    )
    remedy = "; `pip install pillow-heif` to read HEIF" if by_suffix.keys() & HEIF else ""
    return [f"left out files in {where} whose suffix is of no image that can be read: {told}{remedy}"]
