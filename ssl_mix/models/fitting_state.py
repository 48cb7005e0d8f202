"""Which of the state dicts in a file belongs to a network, whatever their names begin with."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Set
from pathlib import Path
from typing import NamedTuple

import torch

from ssl_mix.models.weight_files import State

AVERAGES = {"ema", "teacher", "averaged", "average"}  # words in the names of moving averages
COMPILED = "_orig_mod."
Shapes = Mapping[str, torch.Size]


class Fitting(NamedTuple):
    """A state dict, or a part of one, under the names of a network.

    Attributes:
        place: the entries and the prefix of its names in the file, "" for none.
        state: with names of the network, as far as it has them.
        whole: whether nothing that is needed is missing or of another shape.
        right: how many weights have name and shape of the network's.
        named: how many have a name of it.
    """

    place: str
    state: State
    whole: bool
    right: int
    named: int

    @property
    def averaged(self) -> bool:
        """Whether it is a moving average, by its name."""
        return bool(AVERAGES & {*re.split(r"[._/]", self.place.lower())})


def fitting_state(states: Mapping[str, State], own: Shapes, needed: Set[str]) -> list[Fitting]:
    """The parts of a file that a network can be given, the one to take first: the whole one that is a moving
    average, else the first whole one, else the one with most weights of the right shape.

    Names may begin with anything ("module.", "_orig_mod.", "model.", "backbone.", "teacher.backbone." and
    the like), as long as it is the same for all; what compiling puts into names is left out everywhere.

    Args:
        states: of a file, by place.
        own: shapes of the weights of the network by name.
        needed: those that must be there.
    """
    found = [fit for place, state in states.items() for fit in _parts(place, state, own, needed)]
    return sorted(
        found, key=lambda fit: (fit.whole, fit.whole and fit.averaged, fit.right, fit.named), reverse=True
    )


def notes_of(fits: list[Fitting], source: Path) -> list[str]:
    """What the user should know of the choice."""
    chosen, others = fits[0], [fit for fit in fits[1:] if fit.whole]
    names = [repr(fit.place) if fit.place else "the bare ones" for fit in (chosen, *others)]
    if chosen.averaged:
        beside = f", not {names[1]}, which would fit too" if others else ""
        return [f"the weights are the moving average in {source}, {names[0]}{beside}"]
    if others:
        return [f"the weights are {names[0]} of {source}; {names[1]} would fit too"]
    return []


def _parts(place: str, state: State, own: Shapes, needed: Set[str]) -> Iterator[Fitting]:
    plain = {name.replace(COMPILED, ""): value for name, value in state.items()}
    for prefix in _prefixes(plain, own):
        part = {name.removeprefix(prefix): value for name, value in plain.items() if name.startswith(prefix)}
        right = {name for name, shape in own.items() if name in part and part[name].shape == shape}
        named = len(part.keys() & own.keys())
        yield Fitting(f"{place}.{prefix}".strip("."), part, needed <= right, len(right), named)


def _prefixes(state: State, own: Shapes) -> list[str]:
    """What stands before names of the network, the most frequent first."""
    counts: Counter[str] = Counter()
    for name in state:
        places = [0, *(match.end() for match in re.finditer(r"\.", name))]
        counts.update(name[:at] for at in places if name[at:] in own)
    return [prefix for prefix, _ in counts.most_common()]
