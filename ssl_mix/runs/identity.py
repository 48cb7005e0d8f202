"""What decides every bit of a run, so that a checkpoint is only used where it belongs."""

import json
from pathlib import Path
from typing import Any

from ssl_mix.errors import UserError


def identity_of(description: dict[str, Any]) -> dict[str, Any]:
    """The parts of a ``config.json`` that decide every bit of a run, flat."""
    parts = {name: description[name] for name in ("algorithm", "net", "train")}
    parts["dataset"], parts["data"] = description["dataset"], {"fit": description["data"]["fit"]}
    flat = {f"{part}.{name}": value for part, values in parts.items() for name, value in values.items()}
    return dict(json.loads(json.dumps(flat)))  # as it looks when read back: lists for tuples


def check_same(expected: dict[str, Any], found: dict[str, Any], source: Path) -> None:
    """Raise with the differences unless both identities agree."""
    before, now = _flat(expected), _flat(found)
    differences = [
        f"{name}: {value!r} then, {now.get(name)!r} now"
        for name, value in sorted(before.items())
        if value != now.get(name)
    ]
    if differences:
        raise UserError(
            f"this is not the run that {source} belongs to ({'; '.join(differences)}): undo that, or train "
            "again"
        )


def _flat(identity: dict[str, Any]) -> dict[str, Any]:
    """Options within options by their full names."""
    flat: dict[str, Any] = {}
    for name, value in identity.items():
        inner = _flat(value) if isinstance(value, dict) else {"": value}
        flat |= {f"{name}.{key}".rstrip("."): leaf for key, leaf in inner.items()}
    return flat
