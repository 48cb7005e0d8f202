"""Names of files in one block of bytes behave as a tuple of them."""

import pickle
from pathlib import Path

import pytest

from ssl_mix.datasets.packed import Names, Paths, packed

NAMES = ["a/1.jpg", "a/\u00e9.png", "", "b c/\udcff.jpg"]


def test_names_are_those_that_were_packed() -> None:
    names = Names(NAMES)
    assert (
        list(names) == NAMES
        and len(names) == 4
        and names[-1] == NAMES[-1]
        and names[1:3] == tuple(NAMES[1:3])
    )
    assert (
        names == tuple(NAMES) and tuple(NAMES) == names and names != NAMES[:3] and names != [*NAMES[:3], "x"]
    )
    assert pickle.loads(pickle.dumps(names)) == NAMES
    with pytest.raises(IndexError):
        names[4]


def test_paths_are_paths_of_names_and_are_packed_once() -> None:
    paths = packed(Path(name) for name in ("a/1", "b/2", "c/3"))
    assert paths[1] == Path("b/2") and list(paths.chosen([2, 0])) == [Path("c/3"), Path("a/1")]
    assert paths[:2] == [Path("a/1"), Path("b/2")] and packed(paths) is paths and isinstance(paths, Paths)
