"""Files of weights as others write them: every state dict in one, whatever lies around it, and nothing of it
run."""

import pickle
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ssl_mix.errors import UserError, with_article

SUFFIXES = (".pth", ".pt", ".ckpt", ".bin", ".tar", ".safetensors")
DEEPEST = 4
WEIGHTS_ALONE = "save weights alone, torch.save(net.state_dict(), FILE)"
SHOWN = 4
State = dict[str, Tensor]


class Inert:
    """Stands for whatever else than tensors and plain values a file holds (options of a script, a network):
    its attributes can be looked at, and nothing of its code is imported or run."""

    attributes: Any = None

    def __init__(self, *given: Any) -> None:
        del given

    def __setstate__(self, attributes: Any) -> None:
        self.attributes = attributes


def read_states(source: Path) -> dict[str, State]:
    """Every state dict in a file by the entries that lead to it, "" for a bare one; a pickled network counts
    as its own.

    Raises:
        ValueError: no such file, it cannot be read, or it holds no tensors by name.
    """
    check_there(source)
    if source.suffix not in SUFFIXES:
        raise UserError(f"weights are read from {', '.join(SUFFIXES)}, not from {source}")
    content = _read(source)
    found = dict(_states(content, ""))
    if not found:
        held = ", ".join(map(str, list(content)[:9])) if isinstance(content, Mapping) else _kind(content)
        raise UserError(
            f"{source} holds no state dict: expected tensors by name, bare or under entries; it holds "
            f"{held or 'nothing'}"
        )
    return found


def check_there(source: Path) -> None:
    """Raise unless weights are there, in a file or in the folder of a run."""
    if not (source.is_file() or source.is_dir()):
        raise UserError(
            f"pretrained must be none, default, a file or the folder of a run; {source} is not there"
        )


def described(states: Mapping[str, State], source: Path) -> str:
    """What a file holds, in words."""
    told = []
    for place, state in list(states.items())[:SHOWN]:
        first, value = next(iter(state.items()))
        name = repr(place) if place else "bare"
        told.append(f"{name}: {len(state)} tensors, {first} {list(value.shape)} first")
    more = f", and {len(states) - SHOWN} more" if len(states) > SHOWN else ""
    others = ", ".join(foreign(source)[:SHOWN]) if source.is_file() else ""
    beside = f"; objects of {others}, which are not read: {WEIGHTS_ALONE}" if others else ""
    return "; ".join(told) + more + beside


def _read(source: Path) -> Any:
    try:
        if source.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(source)
        with torch.serialization.safe_globals([(Inert, name) for name in foreign(source)]):
            return torch.load(source, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL (\S+)", str(error))
        beside = f" ({named[1]})" if named else ""
        raise UserError(
            f"{source} holds something else than tensors and plain values{beside}, which only its own code "
            f"can read: where you trust it, load it there and {WEIGHTS_ALONE}"
        ) from error
    except Exception as error:  # as many kinds as there are ways to damage a file
        reason = (f"{type(error).__name__} {error}".strip()).splitlines()[0]
        raise UserError(f"{source} cannot be read as weights (tensors and plain values): {reason}") from error


def foreign(source: Path) -> list[str]:
    """Names of the classes and functions in a file that are no part of tensors and plain values; none in
    PyTorch's format of long ago, which does not tell."""
    try:
        return torch.serialization.get_unsafe_globals_in_checkpoint(str(source))
    except ValueError:
        return []


def _states(value: Any, place: str, depth: int = 0) -> Iterator[tuple[str, State]]:
    if isinstance(value, Inert):
        yield from ([(place, state)] if (state := dict(_of_module(value))) else [])
        return
    if not isinstance(value, Mapping) or depth > DEEPEST:
        return
    tensors = {name: item for name, item in value.items() if isinstance(name, str) and torch.is_tensor(item)}
    if tensors:
        yield place, tensors
    for name, item in value.items():
        if isinstance(name, str):
            yield from _states(item, f"{place}.{name}".removeprefix("."), depth + 1)


def _of_module(module: Inert, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    """The state dict of a pickled network."""
    parts = module.attributes if isinstance(module.attributes, Mapping) else {}
    for kind in ("_parameters", "_buffers"):
        for name, value in (parts.get(kind) or {}).items():
            if torch.is_tensor(value) and name not in parts.get("_non_persistent_buffers_set", ()):
                yield f"{prefix}{name}", value.detach()
    for name, inner in (parts.get("_modules") or {}).items():
        if isinstance(inner, Inert):
            yield from _of_module(inner, f"{prefix}{name}.")


def _kind(content: Any) -> str:
    return "an object without weights" if isinstance(content, Inert) else with_article(type(content).__name__)
