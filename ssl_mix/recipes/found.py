"""What ``auto`` found: which way to learn it chose, and why."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ssl_mix.recipes.body import Body
from ssl_mix.recipes.ladder import ERRORS, Climbed, Rung, choose
from ssl_mix.runs.folder import LADDER, write_text


class Found(NamedTuple):
    """What cross-validation chose.

    Attributes:
        rung: the chosen one.
        ladder: all that were tried; empty where labels are too few for it.
        reason: of the choice, a sentence.
        body: what training the body brings, where it was tried.
        doubt: what speaks against all that were tried, a sentence.
    """

    rung: Rung
    ladder: tuple[Climbed, ...]
    reason: str
    body: Body | None = None
    doubt: str | None = None

    @property
    def name(self) -> str:
        """Of what was chosen, for people."""
        return self.body.name if self.body is not None and self.body.kept else self.rung.name

    @property
    def reasons(self) -> tuple[str, ...]:
        """Of the choice, and of what became of the body where that was tried."""
        return (self.reason,) if self.body is None else (self.reason, self.body.reason)

    def save(self, folder: Path) -> None:
        """Write it to the folder of a run, as ``auto.json``."""
        write_text(folder / LADDER, json.dumps(described(self), indent=2) + "\n")


def reason(ladder: Sequence[Climbed], count: int) -> str:
    """Why a rung was chosen, a sentence."""
    probe, ours = ladder
    taken, points = choose(ladder).rung.name, 100 * ERRORS * ours.error
    return (
        f"{ours.rung.name} is taken unless the probe is ahead by more than {ERRORS:g} standard errors of "
        f"their difference ({points:.1f} points), and {taken} it is: of the labels held out in {count} folds "
        f"{ours.rung.name} predicts {100 * ours.accuracy:.1f} %, the probe {100 * probe.accuracy:.1f} %"
    )


def described(found: Found) -> dict[str, Any]:
    """The content of ``auto.json``."""
    columns = ("accuracy", "gain", "error", "seconds")
    ladder = [
        {"name": climbed.rung.name, **{name: getattr(climbed, name) for name in columns}}
        for climbed in found.ladder
    ]
    content = {"chosen": found.name, "reason": found.reason, "ladder": ladder, "doubt": found.doubt}
    if found.body is None:
        return content
    told = ("name", "accuracy", "gain", "error", "folds", "seconds", "reason")
    return content | {"body": {name: getattr(found.body, name) for name in told}}
