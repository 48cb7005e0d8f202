"""The teacher: an exponential moving average of the student."""

import copy
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from ssl_mix.errors import check_choice, check_share


class Teacher:
    """``teacher <- d * teacher + (1 - d) * student`` by one ``torch._foreach_lerp_`` a step.

    With warm-up the decay of update t (0 for the first) is ``d_t = min(decay, (1 + t) / (10 + t))``, so that
    a short run does not evaluate its own initial weights.

    Args:
        student: the network that is trained; copied as it is now.
        decay: d, in [0, 1].
        warmup: whether the decay warms up.
        buffers: "copy" takes the student's batch-norm statistics as they are (FixMatch), "average" averages
            them too.

    Raises:
        ValueError: decay outside [0, 1], or an unknown choice for the buffers.

    Differs from ``torch.optim.swa_utils.AveragedModel``: the decay may change, and there is no branch on the
    host's side.
    """

    def __init__(
        self,
        student: nn.Module,
        *,
        decay: float = 0.999,
        warmup: bool = True,
        buffers: Literal["copy", "average"] = "copy",
    ) -> None:
        check_share("ema_decay", decay)
        check_choice("ema_buffers", buffers, ("copy", "average"))
        self.net = copy.deepcopy(student).requires_grad_(False).eval()
        self.decay, self.warmup = decay, warmup
        pairs = list(zip(self.net.parameters(), student.parameters(), strict=True))
        held = list(zip(self.net.buffers(), student.buffers(), strict=True))
        averaged = [pair for pair in held if buffers == "average" and pair[0].is_floating_point()]
        self._averaged = _columns(pairs + averaged)
        self._copied = _columns(
            [pair for pair in held if buffers == "copy" or not pair[0].is_floating_point()]
        )

    def decay_at(self, step: int) -> float:
        """The decay of the update after step ``step`` (0 for the first)."""
        return min(self.decay, (1 + step) / (10 + step)) if self.warmup else self.decay

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move the teacher towards the student, in place."""
        torch._foreach_lerp_(*self._averaged, 1 - self.decay_at(step))
        if self._copied[0]:
            torch._foreach_copy_(*self._copied)


def _columns(pairs: Sequence[tuple[Tensor, Tensor]]) -> tuple[list[Tensor], list[Tensor]]:
    """(teacher, student) pairs as a list of teacher tensors and a list of student tensors."""
    return [mine.detach() for mine, _ in pairs], [theirs.detach() for _, theirs in pairs]
