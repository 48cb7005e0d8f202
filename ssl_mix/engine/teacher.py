"""The teacher: an exponential moving average of the student, part of which may stay where it began."""

import copy
from collections.abc import Iterator
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ssl_mix.engine.config import TrainConfig
from ssl_mix.errors import check_choice, check_share

Slot = tuple[dict[str, Any], dict[str, Any], str]


class Teacher(nn.Module):
    """``teacher <- d * teacher + (1 - d) * ((1 - s) * student + s * start)`` by one ``torch._foreach_lerp_``
    a step, or two where s is above 0.

    With warm-up the decay of update t (0 for the first) is ``d_t = min(decay, (1 + t) / (10 + t))``, so that
    a short run does not evaluate its own initial weights. Both networks may be moved to another device or
    dtype afterwards, each by its own ``to``; the teacher stays in evaluation mode, whatever module holds it.

    Args:
        student: the network that is trained; copied as it is now.
        decay: d, in [0, 1].
        warmup: whether the decay warms up.
        buffers: "copy" takes the student's batch-norm statistics as they are (FixMatch), "average" averages
            them too.
        start_share: s, in [0, 1): the share of the weights that the student has now. Averages of pre-trained
            weights and of what fine-tuning makes of them are often better than both (WiSE-FT: Wortsman et
            al., "Robust fine-tuning of zero-shot models", CVPR 2022, whose alpha is 1 - s; they average once,
            after training).

    Attributes:
        net: the averaged network, without gradient.
        start: the network as it began; an empty module where ``start_share`` is 0.

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
        start_share: float = 0.0,
    ) -> None:
        super().__init__()
        check_share("ema_decay", decay)
        check_share("start_share", start_share)
        check_choice("ema_buffers", buffers, ("copy", "average"))
        self.net = copy.deepcopy(student).requires_grad_(False).eval()
        self.decay, self.warmup, self.start_share = decay, warmup, start_share
        self.start = copy.deepcopy(self.net) if start_share else nn.Module()
        self._averaged, self._copied = _slots(self.net, student, buffers)
        self._begun = _slots(self.start, student, buffers)[0] if start_share else []

    def decay_at(self, step: int) -> float:
        """The decay of the update after step ``step`` (0 for the first)."""
        return min(self.decay, (1 + step) / (10 + step)) if self.warmup else self.decay

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move the teacher towards the student, in place."""
        mine, theirs = _columns(self._averaged)
        if self.start_share:
            theirs = list(torch._foreach_lerp(theirs, _columns(self._begun)[0], self.start_share))
        torch._foreach_lerp_(mine, theirs, 1 - self.decay_at(step))
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


def teacher_of(student: nn.Module, config: TrainConfig) -> Teacher:
    """The teacher that a run's settings describe."""
    return Teacher(
        student,
        decay=config.ema_decay,
        warmup=config.ema_warmup,
        buffers=config.ema_buffers,
        start_share=config.start_share,
    )


def _slots(
    mine: nn.Module, theirs: nn.Module, buffers: Literal["copy", "average"]
) -> tuple[list[Slot], list[Slot]]:
    """The places of two equal networks that are averaged, and those that are copied."""
    averaged, copied = list(_places(mine, theirs, "_parameters")), list[Slot]()
    for slot in _places(mine, theirs, "_buffers"):
        average = buffers == "average" and slot[0][slot[2]].is_floating_point()
        (averaged if average else copied).append(slot)
    return averaged, copied


def _places(mine: nn.Module, theirs: nn.Module, kind: Literal["_parameters", "_buffers"]) -> Iterator[Slot]:
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
