"""The settings of a run as tables: what differs from the defaults first, the rest folded."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ssl_mix.algorithms import ALGORITHMS
from ssl_mix.engine.config import TrainConfig
from ssl_mix.reports.blocks import Block, Fold, Table, Text
from ssl_mix.runs.data_options import DataOptions
from ssl_mix.runs.net_options import NetOptions

PARTS = {"algorithm": "algorithm", "data": "data", "net": "network", "train": "training"}
HEADER = ("setting", "value", "default", "of")


def flat_settings(config: Mapping[str, Any]) -> dict[tuple[str, str], Any]:
    """All settings of a ``config.json`` by part and name, groups of options within an algorithm taken
    apart."""
    return {
        (part, name): value for part in PARTS for name, value in _flat(config[part]) if (part, name) != _NAME
    }


_NAME = ("algorithm", "name")


def _flat(values: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value)
        else:
            yield name, value


def defaults(algorithm: str) -> dict[tuple[str, str], Any]:
    """The settings of an algorithm, and of everything else, that nothing was said about."""
    cls = ALGORITHMS.get(algorithm)
    own = {} if cls is None else cls().hyperparameters()
    plain = {n: dataclasses.asdict(v) if dataclasses.is_dataclass(v) else v for n, v in own.items()}  # type: ignore[arg-type]
    groups: dict[str, Any] = {"algorithm": plain}
    groups |= {
        "data": dataclasses.asdict(DataOptions()),
        "net": dataclasses.asdict(NetOptions()),
        "train": dataclasses.asdict(TrainConfig()),
    }
    return {(part, name): value for part in PARTS for name, value in _flat(groups[part])}


def setting_blocks(config: Mapping[str, Any]) -> list[Block]:
    """Tables of settings and of versions."""
    usual = defaults(str(config["algorithm"].get("name")))
    rows: list[tuple[str, ...]] = []
    rest: list[tuple[str, ...]] = []
    for (part, name), value in flat_settings(config).items():
        default = usual.get((part, name))
        row = (flag(name), words(value), words(default), PARTS[part])
        (rest if _same(value, default) else rows).append(row)
    versions = [(name.replace("_", "-"), str(value)) for name, value in config.get("versions", {}).items()]
    found: list[Block] = [Table(rows, HEADER)] if rows else [Text("All settings are the defaults.")]
    return [
        *found,
        Fold(f"{len(rest)} settings as they are by default", [Table([row[:2] + row[3:] for row in rest])]),
        Fold("Versions", [Table(versions)]),
    ]


def flag(name: str) -> str:
    """A setting as the command line names it."""
    return f"--{name.replace('_', '-')}"


def words(value: object) -> str:
    """A value to be read."""
    if value is None:
        return "not given"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(words, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _same(value: object, default: object) -> bool:
    return (list(value) if isinstance(value, tuple | list) else value) == (
        list(default) if isinstance(default, tuple | list) else default
    )
