"""Whether files begin as images do: what can be told of a million of them in seconds."""

import os

from PIL import Image

from ssl_mix.datasets.decode import check_regular, reason
from ssl_mix.datasets.decode_many import Progress, Reading, in_threads
from ssl_mix.datasets.formats import formats_for, suffix_of, suffixes
from ssl_mix.datasets.packed import Paths
from ssl_mix.errors import UserError

MANY = 100_000  # files: decoding as many takes minutes
FIRST, CHUNK = 32, 1024  # bytes that tell a format; files for a thread


def glance_all(files: Paths, progress: Progress | None, label: str) -> Reading:
    """Every file whose first bytes are those of an image; nothing is decoded.

    Args:
        files: to look at.
        progress: told (label, files done, files in all).
        label: for ``progress``.
    """

    def glance(position: int) -> str | None:
        name = files.names[position]
        try:
            check_beginning(name)
        except (OSError, UserError) as error:
            return reason(error)
        return None

    wrong = in_threads(glance, len(files), progress, label, chunk=CHUNK)
    kept = [position for position, why in enumerate(wrong) if why is None]
    broken = [(files[position], why) for position, why in enumerate(wrong) if why is not None]
    return Reading(None, kept, broken, 0)


def check_beginning(name: str) -> None:
    """Raise unless a file begins as one of the formats that are read."""
    check_regular(name)
    descriptor = os.open(name, os.O_RDONLY)
    try:
        first = os.read(descriptor, FIRST)
    finally:
        os.close(descriptor)
    if not first:
        raise UserError("an empty file")
    own = suffixes().get(suffix_of(name))
    if own is not None and _begins(own, first):
        return
    if not any(_begins(format_name, first) for format_name in formats_for(name)):
        raise UserError("not an image of a known format")


def _begins(format_name: str, first: bytes) -> bool:
    """Whether a format takes a file with those first bytes for its own; one without a mark takes any."""
    if format_name not in Image.OPEN:
        return False
    accepts = Image.OPEN[format_name][1]
    return accepts is None or bool(accepts(first))
