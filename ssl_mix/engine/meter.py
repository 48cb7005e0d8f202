"""Means of the metrics between two records, kept on the device."""

from typing import Any

import torch
from torch import Tensor

from ssl_mix.errors import UserError


class DivergedError(UserError):
    """A loss term became NaN or infinite."""


class Meter:
    """Adds up 0-d metrics on the device and hands out their means when they are read.

    It also remembers, without a synchronisation, in which step each metric first was NaN or infinite.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self.names: tuple[str, ...] = ()
        self.sums = self.first_bad = torch.zeros(0)
        self.count = 0

    @torch.no_grad()
    def add(self, metrics: dict[str, Tensor], step: int) -> None:
        """Add the metrics of one step; the names are the same in every step."""
        values = torch.stack([value.detach().float() for value in metrics.values()])
        if not self.names:
            self.names = tuple(metrics)
            self.sums, self.first_bad = torch.zeros_like(values), torch.full_like(values, torch.inf)
        self.sums += values
        self.first_bad = torch.where(values.isfinite(), self.first_bad, self.first_bad.clamp(max=step))
        self.count += 1

    def read(self) -> dict[str, float]:
        """The means since the last reading, which starts anew.

        Raises:
            DivergedError: a metric was NaN or infinite; names the term and the step.
        """
        self.check()
        means = {name: total / self.count for name, total in zip(self.names, self.sums.tolist(), strict=True)}
        self.reset()
        return means

    def check(self) -> None:
        """Raise DivergedError if a metric was NaN or infinite since the last reading."""
        first_bad = zip(self.names, self.first_bad.tolist(), strict=True)
        bad = {name: int(step) for name, step in first_bad if step != float("inf")}
        if bad:
            step = min(bad.values())
            terms = [name for name in bad if bad[name] == step and name != "loss"] or ["loss"]
            raise DivergedError(
                f"{' and '.join(terms)} became NaN or infinite in step {step}; the last checkpoint is from before. "
                "Lower the learning rate (--lr), or check the pictures and the weights of the loss terms"
            )

    def state_dict(self) -> dict[str, Any]:
        """What has been added up since the last reading."""
        return {
            "names": list(self.names),
            "sums": self.sums.clone(),
            "first_bad": self.first_bad.clone(),
            "count": self.count,
        }

    def load_state_dict(self, state: dict[str, Any], device: torch.device) -> None:
        """Go on from ``state_dict`` on ``device``."""
        self.names, self.count = tuple(state["names"]), state["count"]
        self.sums = state["sums"].to(device, copy=True)
        self.first_bad = state["first_bad"].to(device, copy=True)
