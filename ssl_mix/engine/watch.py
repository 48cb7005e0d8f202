"""What tells early that a run goes wrong: a loss that rises, labeled images that are forgotten."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ssl_mix.algorithm import Algorithm
from ssl_mix.errors import counts_of
from ssl_mix.passes import follows_the_batch

BEGINNING = 0.1  # share of the run that is watched
FEWEST_STEPS = 10  # in it: with fewer, losses rise and fall by chance
SHORTEST = 2 * FEWEST_STEPS  # run that is watched
ERRORS, RISE = 3.0, 0.1  # a rise of the loss is at least so many standard errors, and such a share of it
DROP, IMAGES = 0.3, 3  # a drop of the accuracy is at least so much, and so many images
MOST = 256  # labeled images that are looked at
WATCHED = ("loss", "loss/labeled")


class Watch:
    """Compares the beginning of a run, its first tenth and ten steps at least, with how it began, and says
    once what is wrong.

    The loss rises if both the whole and its labeled term are higher, on average over the second half of the
    beginning, than over the first: by three standard errors of the difference between the means, and by a
    tenth. The whole alone is no sign: weights that ramp up, and pseudo-labels that begin to count, raise it.
    The accuracy on plain labeled images drops if it is lower than before the first step by 30 points and by
    three images; training makes up for less. It is looked at with the first record, and whenever as many
    steps again have passed.

    Runs of fewer than 20 steps are not watched. Nothing waits for the device but :meth:`look`.

    Args:
        steps: of the whole run.
    """

    def __init__(self, steps: int) -> None:
        self.last = max(int(BEGINNING * steps), FEWEST_STEPS)
        self.over = steps < SHORTEST
        self.sums: Tensor | None = None  # by half, of the watched metrics and of their squares
        self.accuracy: float | None = None  # before the first step
        self.next = 1  # step from which it is looked at again

    def add(self, metrics: dict[str, Tensor], step: int) -> None:
        """Take in the metrics of one step, on the device."""
        if self.over or step >= self.last:
            return
        values = torch.stack([metrics[name].detach().float() for name in WATCHED if name in metrics])
        if self.sums is None:
            self.sums = values.new_zeros(2, 2, len(values))
        self.sums[self._half(step)] += torch.stack((values, values.square()))

    def _half(self, step: int) -> int:
        return int(step >= self.last // 2)

    def look(self, step: int, accuracy: Callable[[], float], images: int) -> str:
        """What is wrong after so many steps, a part of a sentence; "" for nothing, or where it is not time.

        Args:
            step: steps taken; 0 before the first.
            accuracy: on labeled images.
            images: how many these are.
        """
        if step == 0 and not self.over:
            self.accuracy = accuracy()
        if self.over or step < min(self.next, self.last):
            return ""
        self.next = 2 * step
        found = self._forgotten(accuracy(), images, step)
        if step >= self.last:
            found, self.over = found or self._risen(), True
        self.over = self.over or bool(found)
        return found

    def _forgotten(self, accuracy: float, images: int, step: int) -> str:
        if self.accuracy is None or self.accuracy - accuracy < max(DROP, IMAGES / images):
            return ""
        return (
            f"the accuracy on labeled images fell from {self.accuracy:.1%} to {accuracy:.1%} in "
            f"{counts_of(step, 'step')}"
        )

    def _risen(self) -> str:
        if self.sums is None:
            return ""
        first, second = self.last // 2, self.last - self.last // 2
        early, late = (sums / count for sums, count in zip(self.sums.cpu(), (first, second), strict=True))
        spread = [(square - mean**2).clamp(min=0) for mean, square in (early, late)]
        error = (spread[0] / first + spread[1] / second).sqrt()
        before, after = early[0], late[0]
        if not (after - before > torch.maximum(ERRORS * error, RISE * before.abs())).all():
            return ""
        return f"the loss rose from {before[0]:.3g} to {after[0]:.3g} over the first {self.last} steps"

    def state_dict(self) -> dict[str, Any]:
        """What has been seen."""
        sums = None if self.sums is None else self.sums.clone()
        return {"over": self.over, "accuracy": self.accuracy, "next": self.next, "sums": sums}

    def load_state_dict(self, state: dict[str, Any], device: torch.device) -> None:
        """Go on from ``state_dict`` on ``device``."""
        self.over, self.accuracy, self.next = state["over"], state["accuracy"], state["next"]
        self.sums = None if state["sums"] is None else state["sums"].to(device, copy=True)


def watched(labeled: Sequence[int]) -> Sequence[int]:
    """Positions of labeled images that are looked at: all, or some that are spread evenly."""
    return labeled[:: -(-len(labeled) // MOST)]


def remedies(algorithm: Algorithm, net: nn.Module) -> str:
    """What to try, a part of a sentence."""
    heavy = [name for name in ("contrast_weight", "source_weight") if getattr(algorithm, name, 0.0)]
    tries = ["lower `lr`", *(f"lower `{name}`" for name in heavy)]
    if follows_the_batch(net):
        tries.append("take `norms=frozen` (with pre-trained weights)")
    return ", or ".join(tries)
