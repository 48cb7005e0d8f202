"""What ``ssl-mix auto`` tried before a run, and what it chose."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ssl_mix.reports.blocks import Block, Number, Section, Table, Text
from ssl_mix.runs.folder import LADDER
from ssl_mix.runs.reading import reading

AUTO = "auto"  # the name of such a run


def is_auto(folder: Path) -> bool:
    """Whether a run is one of ``ssl-mix auto``."""
    return (folder / LADDER).exists()


def ladder_section(folder: Path) -> Section:
    """The ways that were tried, with their cross-validated accuracies, and why one was taken.

    Raises:
        ValueError: the file is damaged.
    """
    with reading(folder / LADDER):
        told = json.loads((folder / LADDER).read_text(encoding="utf-8"))
        chosen, body = str(told["chosen"]), told.get("body")
        rows = [_row(rung, chosen, "the probe") for rung in told["ladder"]]
        reasons = [str(told["reason"])]
        if body is not None:
            folds = f"{body['folds']} folds"
            rows.append(_row(body, chosen, f"the head it began from, {folds}"))
            reasons.append(str(body["reason"]))
        if told.get("doubt"):
            reasons.append(str(told["doubt"]))
    header = ("tried", "right among held-out labels", "points above", "to", "seconds")
    blocks: list[Block] = [Text(f"auto chose {chosen}: {reason}.") for reason in reasons[:1]]
    blocks += [Text(f"{reason[:1].upper()}{reason[1:]}.") for reason in reasons[1:]]
    caption = "Cross-validated over the labels alone; +- one standard error"
    return Section("What auto tried", [*blocks, *([Table(rows, header, caption)] if rows else [])])


def _row(tried: Mapping[str, Any], chosen: str, to: str) -> tuple[str | Number, ...]:
    name = f"{tried['name']} (chosen)" if tried["name"] == chosen else str(tried["name"])
    share, gain, error = (float(tried[key]) for key in ("accuracy", "gain", "error"))
    seconds = float(tried["seconds"])
    above = f"{100 * gain:+.1f} +- {100 * error:.1f}" if gain or error else "0"
    return name, Number(f"{100 * share:.1f} %", share), above, to, Number(f"{seconds:.1f}", seconds)
