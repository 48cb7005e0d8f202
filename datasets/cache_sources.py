"""What images are decoded from, for a cache of them: what tells them from others, and when they change."""

import os
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ssl_mix.datasets.decode import About, read_content, read_image
from ssl_mix.datasets.encoded import Encoded
from ssl_mix.datasets.joined import Joined
from ssl_mix.datasets.originals import Files, Form, Originals
from ssl_mix.datasets.packed import Names, Paths
from ssl_mix.datasets.stamps import Stamp, stamp_of

Read = Callable[[int, Form], tuple[npt.NDArray[np.uint8], About]]


class Sources(NamedTuple):
    """Of N images.

    Attributes:
        names: for messages.
        keys: where each lies, which no other image has.
        stamps: (N, 2), other numbers once the content of an image may have changed.
        read: decodes one of them.
    """

    names: Paths
    keys: Names
    stamps: npt.NDArray[np.int64]
    read: Read


def sources_of(images: Originals) -> Sources | None:
    """Those of files, of files inside of archives and tables, and of several such; None of what was given in
    memory or by a program, which is not known again."""
    if isinstance(images, Files):
        files, keys = images.paths, Names(map(os.path.abspath, images.paths.names))
        stamps = _numbers(map(stamp_of, files.names))
        return Sources(files, keys, stamps, lambda at, form: read_image(files[at], *form))
    if isinstance(images, Encoded):
        contents, positions = images.contents, images.positions.tolist()
        return Sources(
            Paths(map(contents.name, positions)),
            Names(map(contents.key, positions)),
            _numbers(contents.stamps(positions)),
            lambda at, form: read_content(*images.file(at), form.size, form.channels, form.fit),
        )
    if isinstance(images, Joined):
        found = [sources_of(part) for part in images.parts]
        known = [sources for sources in found if sources is not None]
        return _joined(images, known) if len(known) == len(found) else None
    return None


def _numbers(stamps: Iterable[Stamp]) -> npt.NDArray[np.int64]:
    return np.array(list(stamps), dtype=np.int64).reshape(-1, 2)


def _joined(images: Joined, parts: Sequence[Sources]) -> Sources:
    def read(position: int, form: Form) -> tuple[npt.NDArray[np.uint8], About]:
        number, within = images.place(position)
        return parts[number].read(within, form)

    return Sources(
        Paths(name for sources in parts for name in sources.names.names),
        Names(key for sources in parts for key in sources.keys),
        np.concatenate([sources.stamps for sources in parts]),
        read,
    )
