"""The teacher: an exponential moving average of the student."""

import copy
from collections.abc import Iterator
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ssl_mix.errors import check_choice, check_share

Slot = tuple[dict[str, Any], dict[str, Any], str]


class Teacher(nn.Module):
    """``teacher <- d * teacher + (1 - d) * student`` by one ``torch._foreach_lerp_`` a step.

    With warm-up the decay of update t (0 for the first) is ``d_t = min(decay, (1 + t) / (10 + t))``, so that
    a short run does not evaluate its own initial weights. Both networks may be moved to another device or
    dtype afterwards, each by its own ``to``; the teacher stays in evaluation mode, whatever module holds it.

    Args:
        student: the network that is trained; copied as it is now.
        decay: d, in [0, 1].
        warmup: whether the decay warms up.
        buffers: "copy" takes the student's batch-norm statistics as they are (FixMatch), "average" averages
            them too.

    Attributes:
        net: the averaged network, without gradient.

    Raises:
        ValueError: decay outside [0, 1], or an unknown choice for the buffers.

    Differs from ``torch.optim.swa_utils.AveragedModel``: the decay may change, and there is no branch on the
    host's side.

    >>> teacher = Teacher(student := torch.nn.Linear(1, 1, bias=False), decay=0.75, warmup=False)
    >>> _ = torch.nn.init.constant_(teacher.net.weight, 0), torch.nn.init.constant_(student.weight, 1)
    >>> teacher.update(0)
    >>> teacher(torch.ones(1, 1))
    tensor([[0.2500]])
    """

    def __init__(
        self,
        student: nn.Module,
        *,
        decay: float = 0.999,
        warmup: bool = True,
        buffers: Literal["copy", "average"] = "copy",
    ) -> None:
        super().__init__()
        check_share("ema_decay", decay)
        check_choice("ema_buffers", buffers, ("copy", "average"))
        self.net = copy.deepcopy(student).requires_grad_(False).eval()
        self.decay, self.warmup = decay, warmup
        self._averaged = list(_slots(self.net, student, "_parameters"))
        self._copied: list[Slot] = []
        for slot in _slots(self.net, student, "_buffers"):
            average = buffers == "average" and slot[0][slot[2]].is_floating_point()
            (self._averaged if average else self._copied).append(slot)

    def decay_at(self, step: int) -> float:
        """The decay of the update after step ``step`` (0 for the first)."""
        return min(self.decay, (1 + step) / (10 + step)) if self.warmup else self.decay

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move the teacher towards the student, in place."""
        torch._foreach_lerp_(*_columns(self._averaged), 1 - self.decay_at(step))
        if self._copied:
            torch._foreach_copy_(*_columns(self._copied))

    def forward(self, images: Tensor) -> Tensor:
        """What the averaged network answers."""
        answers: Tensor = self.net(images)
        return answers

    def train(self, mode: bool = True) -> "Teacher":
        """Stay in evaluation mode."""
        del mode
        return super().train(False)


def _slots(mine: nn.Module, theirs: nn.Module, kind: Literal["_parameters", "_buffers"]) -> Iterator[Slot]:
    """Where the tensors of two equal networks are kept, each tensor once: moving a network replaces its
    buffers, so that only their places last."""
    seen = set()
    for my_part, their_part in zip(mine.modules(), theirs.modules(), strict=True):
        my_tensors, their_tensors = getattr(my_part, kind), getattr(their_part, kind)
        for name, tensor in my_tensors.items():
            if tensor is not None and id(tensor) not in seen:
                seen.add(id(tensor))
                yield my_tensors, their_tensors, name


def _columns(slots: list[Slot]) -> tuple[list[Tensor], list[Tensor]]:
    """The teacher's tensors and the student's."""
    return [mine[name] for mine, _, name in slots], [theirs[name] for _, theirs, name in slots]
