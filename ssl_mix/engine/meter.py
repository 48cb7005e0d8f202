"""Means of the metrics between two records, kept on the device."""

from typing import Any

import torch
from torch import Tensor

from ssl_mix.errors import UserError


class DivergedError(UserError):
    """A loss term became NaN or infinite."""


class Meter:
    """Adds up 0-d metrics on the device and hands out their means when they are read.

    It also remembers, without a synchronization, in which step each metric first was NaN or infinite.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self.counts: dict[str, int] = {}
        self.sums = self.first_bad = torch.zeros(0)

    @torch.no_grad()
    def add(self, metrics: dict[str, Tensor], step: int) -> None:
        """Add the metrics of one step. A step may lack a metric; its mean is over the steps that have it."""
        new = [name for name in metrics if name not in self.counts]
        if new:
            zeros = next(iter(metrics.values())).new_zeros(len(new), dtype=torch.float32)
            self.sums = torch.cat((self.sums.to(zeros.device), zeros))
            self.first_bad = torch.cat((self.first_bad.to(zeros.device), zeros + torch.inf))
            self.counts |= dict.fromkeys(new, 0)
        zero = self.sums.new_zeros(())
        values = torch.stack([metrics.get(name, zero).detach().float() for name in self.counts])
        self.sums = self.sums + values
        self.first_bad = torch.where(values.isfinite(), self.first_bad, self.first_bad.clamp(max=step))
        for name in metrics:
            self.counts[name] += 1

    def read(self) -> dict[str, float]:
        """The means since the last reading, which starts anew.

        Raises:
            DivergedError: a metric was NaN or infinite; names the term and the step.
        """
        self.check()
        means = self.means()
        self.reset()
        return means

    def means(self) -> dict[str, float]:
        """The means since the last reading, which goes on."""
        sums = zip(self.counts.items(), self.sums.tolist(), strict=True)
        return {name: total / count for (name, count), total in sums}

    def check(self) -> None:
        """Raise DivergedError if a metric was NaN or infinite since the last reading."""
        first_bad = zip(self.counts, self.first_bad.tolist(), strict=True)
        bad = {name: int(step) for name, step in first_bad if step != float("inf")}
        if bad:
            step = min(bad.values())
            terms = [name for name in bad if bad[name] == step and name != "loss"] or ["loss"]
            raise DivergedError(
                f"{' and '.join(terms)} became NaN or infinite in step {step}; the last checkpoint is from "
                "before. "
                "Lower the learning rate (`lr`), or check the images and the weights of the loss terms"
            )

    def state_dict(self) -> dict[str, Any]:
        """What has been added up since the last reading."""
        return {"counts": dict(self.counts), "sums": self.sums.clone(), "first_bad": self.first_bad.clone()}

    def load_state_dict(self, state: dict[str, Any], device: torch.device) -> None:
        """Go on from ``state_dict`` on ``device``."""
        self.counts = dict(state["counts"])
        self.sums = state["sums"].to(device, copy=True)
        self.first_bad = state["first_bad"].to(device, copy=True)
