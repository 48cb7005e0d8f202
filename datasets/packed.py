"""Many names of files in little memory."""

import os
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import overload


class Names(Sequence[str]):
    """Names in one block of bytes: a million take 70 MB, in place of 500 as objects, and worker processes do
    not copy them by counting references.

    Args:
        names: to be kept, in order.
    """

    def __init__(self, names: Iterable[str | os.PathLike[str]]) -> None:
        self._block, self._ends = bytearray(), array("q", [0])
        for name in names:
            self._block += os.fsencode(name)
            self._ends.append(len(self._block))

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, position: int) -> str: ...
    @overload
    def __getitem__(self, position: slice) -> tuple[str, ...]: ...
    def __getitem__(self, position: int | slice) -> str | tuple[str, ...]:
        if isinstance(position, slice):
            return tuple(self[at] for at in range(*position.indices(len(self))))
        at = range(len(self))[position]
        return os.fsdecode(bytes(self._block[self._ends[at] : self._ends[at + 1]]))

    def __iter__(self) -> Iterator[str]:
        start = 0
        for end in islice(self._ends, 1, None):
            yield os.fsdecode(bytes(self._block[start:end]))
            start = end

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str) or len(other) != len(self):
            return False
        return all(str(one) == str(another) for one, another in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({list(self)!r})"


class Paths(Sequence[Path]):
    """:class:`Names` as paths.

    Args:
        names: of files.
    """

    def __init__(self, names: Iterable[str | os.PathLike[str]]) -> None:
        self.names = names if isinstance(names, Names) else Names(names)

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, position: int) -> Path: ...
    @overload
    def __getitem__(self, position: slice) -> list[Path]: ...
    def __getitem__(self, position: int | slice) -> Path | list[Path]:
        found = self.names[position]
        return Path(found) if isinstance(found, str) else [Path(name) for name in found]

    def __iter__(self) -> Iterator[Path]:
        return map(Path, self.names)

    def chosen(self, positions: Iterable[int]) -> "Paths":
        """Those at some positions."""
        return Paths(self.names[position] for position in positions)


def packed(files: Iterable[str | os.PathLike[str]]) -> Paths:
    """The files as :class:`Paths`; the same ones where they are already."""
    return files if isinstance(files, Paths) else Paths(files)
