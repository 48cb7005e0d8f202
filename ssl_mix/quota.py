"""As many pseudo-labels of each class, or as large a share."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from ssl_mix.banks import NEVER, class_type, known_indices, last_positions
from ssl_mix.types import PseudoLabels

DROPPED_BITS = 4  # of the 10 behind the point of a float16
LEVELS = (0x3C00 >> DROPPED_BITS) + 1  # 0x3C00 is 1 as a float16
GOLDEN = 2654435769  # 2^32 over the golden ratio: multiples of it are spread evenly


def levels_of(confidence: Tensor) -> Tensor:
    """Doubts ``1 - confidence`` rounded down to 7 binary digits, as numbers that ascend with them, int16 in
    0 to ``LEVELS - 1``."""
    doubt = (1 - confidence.float()).half()
    return (doubt.view(torch.int16) >> DROPPED_BITS).clamp(0, LEVELS - 1)


class ClassQuota(nn.Module):
    """Which pseudo-labels count: of every class the most confident ones, as many of each or as large a share.

    Every unlabeled image is remembered with its last pseudo-label, and one counts if its confidence is among
    the K_c highest of all that are of its class c. Confidences whose doubts, 1 less the confidence, agree in
    their first 7 binary digits are equals; where not all equals have room, a share of them counts, those
    whose ``i GOLDEN mod 2^32`` is smallest, i being the number of the image. Without a ``head`` class
    ``K_c = ceil(P / C)``, where the algorithm's own rule lets P of them pass; a class that fewer images are
    taken for has fewer. With one ``K_c = floor(rho n_c)``: n_c images are taken for class c, and the
    algorithm's own rule lets the share rho of those of the head class pass; while there are none of those,
    that rule is kept. A step takes time for its batch alone, however many images there are.

    Args:
        num_unlabeled: U, images in the unlabeled part.
        num_classes: C.
        head: the class with the most labels, whose share the others get; None for equal numbers.

    Attributes:
        label: class predicted last, (U,) of :func:`ssl_mix.banks.class_type`; -1 before the first
            pseudo-label.
        level: of the confidence of that pseudo-label, (U,) int16, see :func:`levels_of`.
        passed: whether the algorithm's own rule lets it pass, (U,) bool.
        counts: images of each class and level, (C, LEVELS) int32.
        passing: images of each class that pass, (C,) int64.

    Source: Huang et al., "Unsupervised Prompt Learning for Vision-Language Models" (2022), section 3.2, and
    Menghini et al., "Enhancing CLIP with CLIP" (NeurIPS 2023), which take the K most confident of each class
    once in a round; Zou et al., "Class-Balanced Self-Training" (ECCV 2018), which rank within a class. With a
    head class: Guo and Li, "Class-Imbalanced Semi-Supervised Learning with Adaptive Thresholding" (Adsh, ICML
    2022), Algorithm 1, where the K_c-th confidence is the threshold of class c. Differs: the memory lets
    every step choose, where these do once in a round; K follows the algorithm's own rule, not a number.
    USB's peer of Adsh counts one image of the head class too few that pass, so that rho is smaller.
    """

    label: Tensor
    level: Tensor
    passed: Tensor
    counts: Tensor
    passing: Tensor

    def __init__(self, num_unlabeled: int, num_classes: int, head: int | None = None) -> None:
        super().__init__()
        self.num_classes, self.head = num_classes, head
        self.register_buffer("label", torch.full((num_unlabeled,), NEVER, dtype=class_type(num_classes)))
        self.register_buffer("level", torch.zeros(num_unlabeled, dtype=torch.int16))
        self.register_buffer("passed", torch.zeros(num_unlabeled, dtype=torch.bool))
        self.register_buffer("counts", torch.zeros((num_classes, LEVELS), dtype=torch.int32))
        self.register_buffer("passing", torch.zeros(num_classes, dtype=torch.int64))

    @torch.no_grad()
    def forward(self, pseudo: PseudoLabels) -> tuple[Tensor, dict[str, Tensor]]:
        """1 for the pseudo-labels of a step that count, else 0, (N,) float; and the news for
        :meth:`enter_news`.

        Where an image occurs twice in the batch its last pseudo-label counts.

        Raises:
            ValueError: the pseudo-labels do not say of which images they are.
        """
        slots = known_indices(pseudo.indices)
        last = last_positions(slots)
        label, passed = pseudo.labels[last], (pseudo.mask > 0)[last]
        news = {"slots": slots, "label": label, "level": levels_of(pseudo.confidence)[last], "passed": passed}
        moves = self._moves(news)
        first = label * LEVELS
        place = first + news["level"]
        levels = torch.arange(LEVELS, device=label.device)
        rows = self.counts[label]
        above = (rows * (levels < news["level"][:, None])).sum(dim=1, dtype=torch.int32)
        above = above + moves.between(first, place)
        equal = self.counts.view(-1)[place] + moves.between(place, place + 1)
        share = (slots * GOLDEN).remainder(2**32).double() / 2**32  # in [0, 1), among equals
        sizes = rows.sum(dim=1, dtype=torch.int32) + moves.between(first, first + LEVELS)
        chosen = above + share * equal < self._quotas(moves, sizes)
        if self.head is not None:
            chosen = torch.where(self._head_size(moves) > 0, chosen, passed)
        return (chosen & (label == pseudo.labels)).to(pseudo.mask.dtype), news

    @torch.no_grad()
    def enter_news(self, news: dict[str, Tensor]) -> None:
        """Enter what :meth:`forward` gave."""
        moves = self._moves(news)
        for sign, places, passed in ((1, moves.entered, moves.passing), (-1, moves.left, moves.passed)):
            real = places < self.counts.numel()
            place = torch.where(real, places, 0)
            self.counts.view(-1).scatter_add_(0, place, sign * real.int())
            self.passing.scatter_add_(0, place // LEVELS, sign * (real & passed).long())
        for name in ("label", "level", "passed"):
            buffer = self.get_buffer(name)
            buffer[news["slots"]] = news[name].to(buffer.dtype)

    def _moves(self, news: dict[str, Tensor]) -> "_Moves":
        slots, nowhere = news["slots"], self.counts.numel()
        once = last_positions(slots) == torch.arange(len(slots), device=slots.device)
        before = self.label[slots].long()
        left = torch.where(once & (before != NEVER), before * LEVELS + self.level[slots], nowhere)
        entered = torch.where(once, news["label"] * LEVELS + news["level"], nowhere)
        (entered, at), (left, from_) = entered.sort(), left.sort()
        return _Moves(entered, left, news["passed"][at], self.passed[slots][from_])

    def _quotas(self, moves: "_Moves", sizes: Tensor) -> Tensor:
        """How many pseudo-labels count of classes of which there are ``sizes`` (N,); (N,) or 0-d int64."""
        if self.head is None:
            passed = self.passing.sum() + moves.more_passing(0, self.counts.numel())
            return -(-passed // self.num_classes)
        first = self.head * LEVELS
        passed = self.passing[self.head] + moves.more_passing(first, first + LEVELS)
        return sizes * passed // self._head_size(moves).clamp(min=1)

    def _head_size(self, moves: "_Moves") -> Tensor:
        """Images of the head class, 0-d."""
        assert self.head is not None
        first = torch.tensor(self.head * LEVELS, device=self.counts.device)
        return self.counts[self.head].sum() + moves.between(first, first + LEVELS)


class _Moves(NamedTuple):
    """What a batch changes of the counts. A place is a class times LEVELS plus a level; that of no image is
    behind all.

    Attributes:
        entered: places where there is one image more, (N,) int64, sorted.
        left: places where there is one less, likewise.
        passing: which of those that entered pass, (N,) bool.
        passed: which of those that left did, (N,) bool.
    """

    entered: Tensor
    left: Tensor
    passing: Tensor
    passed: Tensor

    def between(self, low: Tensor, high: Tensor) -> Tensor:
        """How many images more there are at places from ``low`` to before ``high``."""
        more, less = (
            torch.searchsorted(places, high) - torch.searchsorted(places, low)
            for places in (self.entered, self.left)
        )
        return more - less

    def more_passing(self, low: int, high: int) -> Tensor:
        """How many images more pass there, 0-d."""
        now, before = (
            (passed & (places >= low) & (places < high)).sum()
            for passed, places in ((self.passing, self.entered), (self.passed, self.left))
        )
        return now - before
