"""Tar archives in the naming of WebDataset: ``KEY.jpg`` with ``KEY.cls`` or ``KEY.json`` is a sample.

A look through the archives gives the place of each file, so that any image can be read by itself, as memories
of single images need it; the standard library suffices for that.
"""

import glob
import json
import os
import re
import tarfile
from array import array
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ssl_mix.datasets.class_names import Label, plain_label
from ssl_mix.datasets.formats import suffix_of, suffixes
from ssl_mix.datasets.listing import look_through
from ssl_mix.datasets.packed import Names
from ssl_mix.datasets.stamps import Stamp, stamp_of
from ssl_mix.errors import UserError, counts_of

RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
LABEL_SUFFIXES = ("cls", "json")


class Shards(NamedTuple):
    """The images in archives and their labels, None where unknown."""

    images: "TarImages"
    labels: list[Label]


class TarImages:
    """Image files in archives; ``Contents``.

    Args:
        archives: paths.
        found: (number of the archive, name, offset, size) of each image.
    """

    def __init__(self, archives: Sequence[str], found: Iterable[tuple[int, str, int, int]]) -> None:
        self.archives = list(archives)
        self._places, names = array("q"), []
        for archive, name, offset, size in found:
            self._places.extend((archive, offset, size))
            names.append(name)
        self._names = Names(names)

    def __len__(self) -> int:
        return len(self._names)

    def name(self, position: int) -> str:
        """See ``Contents``."""
        return os.path.join(self.archives[self._places[3 * position]], self._names[position])

    def content(self, position: int) -> bytes:
        """See ``Contents``."""
        archive, offset, size = self._places[3 * position : 3 * position + 3]
        with open(self.archives[archive], "rb", buffering=0) as file:
            file.seek(offset)
            return file.read(size)

    def key(self, position: int) -> str:
        """See ``Contents``."""
        return os.path.abspath(self.name(position))

    def stamps(self, positions: Sequence[int]) -> list[Stamp]:
        """See ``Contents``: those of the archives."""
        found = [stamp_of(archive) for archive in self.archives]
        return [found[self._places[3 * position]] for position in positions]


def shards_at(value: str) -> list[str]:
    """The archives that a path means: a ``.tar`` file, a folder with some, or a pattern with ``*`` or
    ``{000..012}``; none where it means something else, as a folder with more images than archives does.

    Raises:
        ValueError: a folder holds archives and some images.
    """
    if os.path.isdir(value):
        archives = sorted(str(path) for path in Path(value).glob("*.tar"))
        images = len(look_through(Path(value)).images) if archives else 0
        if 0 < images <= len(archives):
            raise UserError(
                f"{value} holds {counts_of(len(archives), 'tar archive')} and {counts_of(images, 'image')}: "
                "move one kind elsewhere"
            )
        return [] if images else archives
    if not value.endswith(".tar"):
        return []
    if found := RANGE.search(value):
        first, last = found[1], found[2]
        numbers = (str(number).zfill(len(first)) for number in range(int(first), int(last) + 1))
        return [name for number in numbers for name in shards_at(value.replace(found[0], number, 1))]
    return sorted(glob.glob(value)) if glob.has_magic(value) else [value]


def read_shards(archives: Sequence[str], where: str) -> Shards:
    """Look through archives.

    Args:
        archives: uncompressed ones.
        where: which part it is, for messages.

    Raises:
        ValueError: an archive is missing, compressed or damaged, holds no image, a sample has several, or a
            label is neither a whole number nor a name.
    """
    found: list[tuple[int, str, int, int]] = []
    labels: list[Label] = []
    for number, archive in enumerate(archives):
        try:
            with tarfile.open(archive, "r:") as tar:
                samples = _samples(tar)
                for key, members in samples.items():
                    images = [m for suffix, m in members.items() if "." + suffix in suffixes()]
                    if len(images) > 1:
                        raise UserError(
                            f"{where}: expected one image in a sample, got {len(images)} in {key} of "
                            f"{archive}"
                        )
                    for member in images:
                        found.append((number, member.name, member.offset_data, member.size))
                        labels.append(_label(tar, members, f"{where}, {key} of {archive}"))
        except (tarfile.TarError, OSError) as error:
            raise UserError(f"{where}: expected an uncompressed tar archive at {archive}: {error}") from error
    if not found:
        raise UserError(
            f"{where}: no image in {', '.join(map(str, archives[:3]))}, expected KEY.jpg and KEY.cls"
        )
    return Shards(TarImages(archives, found), labels)


def _samples(tar: tarfile.TarFile) -> dict[str, dict[str, tarfile.TarInfo]]:
    """The files of each sample by what follows the first dot of their names, of an image by its suffix."""
    samples: dict[str, dict[str, tarfile.TarInfo]] = {}
    for member in tar:
        folder, name = os.path.split(member.name)
        key, dot, rest = name.partition(".")
        if member.isfile() and key and dot:
            suffix = rest.lower() if suffix_of(name) not in suffixes() else suffix_of(name)[1:]
            samples.setdefault(os.path.join(folder, key), {})[suffix] = member
    return samples


def _label(tar: tarfile.TarFile, members: dict[str, tarfile.TarInfo], where: str) -> Label:
    member = next((members[suffix] for suffix in LABEL_SUFFIXES if suffix in members), None)
    file = None if member is None else tar.extractfile(member)
    if file is None or member is None:
        return None
    text = file.read().decode("utf-8", errors="replace").strip()
    try:
        value: Any = json.loads(text) if member.name.lower().endswith("json") else text
    except ValueError as error:
        raise UserError(f"{where}: expected JSON with a label, cannot read it: {error}") from error
    value = value.get("label") if isinstance(value, dict) else value
    if isinstance(value, str) and re.fullmatch(r"-?\d+", value):
        value = int(value)
    return plain_label(value, where)
