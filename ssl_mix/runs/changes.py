"""What may change when a run goes on: where its data are, and how long it is."""

import dataclasses
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

from ssl_mix.algorithm import Algorithm
from ssl_mix.datasets import DataSet
from ssl_mix.engine.config import TrainConfig
from ssl_mix.engine.optimizer import learning_rate
from ssl_mix.errors import UserError, counts_of
from ssl_mix.runs.checkpoint import CURRENT
from ssl_mix.runs.data_options import PATHS, DataOptions
from ssl_mix.runs.folder import CONFIG, FILES, write_names, write_text
from ssl_mix.runs.identity import check_same
from ssl_mix.runs.reading import reading
from ssl_mix.runs.run import Run
from ssl_mix.shell import quoted

LENGTHS = "lengths"  # in config.json: the steps that the run was to have before
TENTHS = {"eval_every": "evaluations", "checkpoint_every": "checkpoints"}  # ten in a run unless given
# Options of algorithms that are shares of the run.
RAMPS = ("ramp", "tsa", "mix_schedule", "stop_mixing", "warmup")


class Changes(NamedTuple):
    """What a run goes on with.

    Attributes:
        data_root: folder that holds the data now; default: they are where they were.
        steps: of the whole run, more than before; default: as many as before.
    """

    data_root: Path | None = None
    steps: int | None = None

    def moved(self, run: Run) -> Run:
        """The run with its data where they are now.

        Raises:
            ValueError: they are neither in ``data_root`` nor where they were.
        """
        if self.data_root is None:
            check_there(run.data)
            return run
        return dataclasses.replace(run, data=moved(run.data, self.data_root.absolute()))

    def longer(self, run: Run) -> Run:
        """The run with its length.

        Raises:
            ValueError: it is not longer than before.
        """
        if self.steps is None:
            return run
        if self.steps <= run.config.steps:
            raise UserError(
                "`steps` is the new length of the whole run and must exceed its "
                f"{counts_of(run.config.steps, 'step')}, got {self.steps}"
            )
        return dataclasses.replace(run, config=dataclasses.replace(run.config, steps=self.steps))

    def write(self, folder: Path, description: dict[str, Any], run: Run, data: DataSet) -> None:
        """Let the folder of the run tell its new length and place."""
        if self.data_root is not None:
            description = description | {"data": dataclasses.asdict(run.data)}
            if data.train.files is not None:
                write_names(folder / FILES, data.train.files)
        if self.steps is not None:
            before = [*description.get(LENGTHS, []), description["train"]["steps"]]
            train = description["train"] | {"steps": self.steps}
            description = description | {"train": train, LENGTHS: before}
        write_text(folder / CONFIG, json.dumps(description, indent=2) + "\n")


def moved(options: DataOptions, root: Path) -> DataOptions:
    """Options with the paths that are below ``root`` now: they keep what is behind the same number of leading
    folders. A path that is not there, but is where it was, stays.

    Raises:
        ValueError: one is at neither place.
    """
    given = paths_of(options) or {"data_dir": Path(options.data_dir)}
    best: dict[str, Path] = {}
    for dropped in range(1, 1 + max(len(path.parts) for path in given.values())):
        places = {name: root.joinpath(*path.parts[dropped:]) for name, path in given.items()}
        found = {name: place for name, place in places.items() if place.exists()}
        if len(found) > len(best) and len({*found.values()}) == len({*map(given.get, found)}):
            best = found
    lost = [path for name, path in given.items() if name not in best and not path.exists()]
    if lost or not best:
        lost = lost or [*given.values()]
        names = " and ".join(path.name for path in lost)
        others = any((root / path.name).exists() for path in given.values())
        place = root / lost[0].name if others else lost[0]
        raise UserError(
            f"`data_root` {root} does not hold {names}, which the run learned from: name the folder above, "
            f"in which it has the name that it had; {by_link(place)}"
        )
    paths: dict[str, Any] = {name: str(path) for name, path in best.items()}
    return dataclasses.replace(options, **paths)


def paths_of(options: DataOptions) -> dict[str, Path]:
    """The paths of images of one's own that the options name."""
    return {name: Path(value) for name in PATHS if (value := getattr(options, name)) is not None}


def check_there(options: DataOptions) -> None:
    """Raise where images of one's own are no longer where a run learned from them."""
    lost = [path for path in paths_of(options).values() if not path.exists()]
    if lost:
        raise UserError(
            f"{' and '.join(map(str, lost))}, which the run learned from, cannot be found: if moved, name "
            f"the folder above with `data_root`; {by_link(lost[0])}"
        )


def check_together(before: DataOptions, now: DataOptions) -> None:
    """Raise where images to learn from lie otherwise to each other than when a run began, which knows them by
    their names from the folder on that holds all of them."""
    old, new = (_below_each_other(paths_of(options)) for options in (before, now))
    if old != new:
        names = " and ".join(f"`{name}`" for name in old)
        raise UserError(
            f"{names} do not lie to each other as they did when the run began, {' and '.join(old.values())} "
            "in one folder: bring them together so, or links to them, and name that folder with `data_root`"
        )


def _below_each_other(paths: dict[str, Path]) -> dict[str, str]:
    """Folders to learn from, seen from the one that holds them all."""
    learned = {name: path for name, path in paths.items() if name != "test"}
    if len(learned) < 2:
        return {}
    above = os.path.commonpath([path.parent for path in learned.values()])
    return {name: path.relative_to(above).as_posix() for name, path in learned.items()}


def by_link(path: Path) -> str:
    """What to do where a folder got another name."""
    return f"if renamed, give it its name again, or put a link in its place (ln -s NEW {quoted(path)})"


def check_belongs(
    state: dict[str, Any], identity: dict[str, Any], description: dict[str, Any], folder: Path
) -> None:
    """Raise unless a checkpoint is of the run that ``config.json`` describes, maybe from when it was
    shorter.

    Args:
        state: of the checkpoint.
        identity: of the run.
        description: the content of ``config.json``.
        folder: of the run.
    """
    with reading(folder / CURRENT):
        found = json.loads(state["identity"])
        if found["train.steps"] in description.get(LENGTHS, []):
            found["train.steps"] = identity["train.steps"]
        check_same(found, identity, folder / CURRENT)


def extension_notes(algorithm: Algorithm, before: TrainConfig, now: TrainConfig, step: int) -> list[str]:
    """What changes when a run that was made for fewer steps goes on after ``step``: everything that depends
    on the length follows the new one from there on."""
    if now.steps == before.steps:
        return []
    told = []
    if before.schedule != "constant" and not before.milestones:
        rates = learning_rate(before, max(0, step - 1)), learning_rate(now, step)
        told.append(f"`schedule={before.schedule}` (learning rate {rates[0]:.3g} before, {rates[1]:.3g} now)")
    told += [f"`{name}={value}`" for name, value in _shares(algorithm).items()]
    often = [what for name, what in TENTHS.items() if getattr(before, name) is None]
    told += [f"{' and '.join(often)} (ten in a run)"] if often else []
    which = f": {', '.join(told)}" if told else ": nothing does"
    return [
        f"the run was made for {counts_of(before.steps, 'step')} and goes on to {now.steps}; what depends on "
        f"its length follows the new one from step {step} on{which}"
    ]


def _shares(algorithm: Algorithm) -> dict[str, Any]:
    """Those options of an algorithm that are shares of the run, where they have an effect."""
    options = algorithm.hyperparameters()
    found = {name: options[name] for name in RAMPS if options.get(name) not in (None, 0, "none", "constant")}
    mixing = options.get("mixing")
    if mixing is not None and mixing.asymmetric and mixing.mix_ramp != "none":
        found["mix_ramp"] = mixing.mix_ramp
    return found
