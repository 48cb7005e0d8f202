"""Ways in which a file of a run may be damaged, drawn from a seed."""

import io
import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

STRANGE: tuple[Any, ...] = (None, True, -1, 0, 10**30, 0.5, "", "x", [], [1, "a"], {}, {"a": {}})


def cut(path: Path, draw: random.Random) -> None:
    """Keep the beginning of a file."""
    content = path.read_bytes()
    path.write_bytes(content[: draw.randrange(len(content) + 1)])


def flip(path: Path, draw: random.Random) -> None:
    """Flip some bits."""
    content = bytearray(path.read_bytes())
    for _ in range(draw.choice((1, 1, 3, 50))):
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    path.write_bytes(content)


def foreign(path: Path, draw: random.Random) -> None:
    """Put something else in the place of a file."""
    saved = io.BytesIO()
    torch.save(draw.choice(([1, 2], {"format": "other"}, torch.ones(3))), saved)
    contents = (b"", b"\xff\xfe\x00", b"[]", b"{}", b"null", b'{"format": "ssl-mix run 1"}', saved.getvalue())
    path.write_bytes(draw.choice(contents))


def missing(path: Path, draw: random.Random) -> None:
    """Take a file away, or put a folder in its place."""
    path.unlink()
    if draw.random() < 0.5:
        path.mkdir()


def endless(path: Path, draw: random.Random) -> None:
    """Put a pipe that nobody writes to, or JSON that is too deep, in the place of a file."""
    path.unlink()
    if draw.random() < 0.5:
        os.mkfifo(path)
    else:
        path.write_text("[" * 100_000)


def drop(path: Path, draw: random.Random) -> None:
    """Drop a field, at any depth."""
    _change(path, draw, lambda parent, key: parent.pop(key))


def other_kind(path: Path, draw: random.Random) -> None:
    """Give a field, at any depth, a value of another kind."""
    value = draw.choice(STRANGE)
    _change(path, draw, lambda parent, key: parent.__setitem__(key, value))


WAYS = (cut, flip, foreign, missing, endless, drop, other_kind)


def _change(path: Path, draw: random.Random, change: Callable[[Any, Any], object]) -> None:
    if path.suffix == ".pt":
        content = torch.load(path, weights_only=True)
        _at(content, draw, change)
        torch.save(content, path)
    elif path.suffix == ".jsonl":
        records = [json.loads(line) for line in path.read_text().splitlines()]
        _at(draw.choice(records), draw, change)
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
    else:
        content = json.loads(path.read_text())
        _at(content, draw, change)
        path.write_text(json.dumps(content))


def _at(content: Any, draw: random.Random, change: Callable[[Any, Any], object]) -> None:
    """Change something in dicts and lists within each other."""
    parent = content
    key = draw.choice(list(parent))
    while isinstance(parent[key], dict | list) and parent[key] and draw.random() < 0.7:
        parent = parent[key]
        key = draw.choice(list(parent)) if isinstance(parent, dict) else draw.randrange(len(parent))
    change(parent, key)
