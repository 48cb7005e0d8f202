"""As many pseudo-labels of each class, or as large a share."""

import torch
from torch import Tensor, nn

from ssl_mix.banks import NEVER, class_type, known_indices, last_positions
from ssl_mix.types import PseudoLabels

DROPPED_BITS = 4  # of the 10 behind the point of a float16
LEVELS = (int(torch.ones(1, dtype=torch.float16).view(torch.int16)) >> DROPPED_BITS) + 1
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
        """1 for the pseudo-labels of a step that count, else 0, (N,) float; and what :meth:`enter_news`
        takes.

        Where an image occurs twice in the batch its last pseudo-label counts.

        Raises:
            ValueError: the pseudo-labels do not say of which images they are.
        """
        slots = known_indices(pseudo.indices)
        last = last_positions(slots)
        label, passed = pseudo.labels[last], (pseudo.mask > 0)[last]
        news = {"slots": slots, "label": label, "level": levels_of(pseudo.confidence)[last], "passed": passed}
        above, equal = self._ranked(news)
        place = (slots * GOLDEN).remainder(2**32).double() / 2**32  # among equals, in [0, 1)
        chosen = above + place * equal < self._quotas(news)
        if self.head is not None:
            chosen = torch.where(self._size_after(news, self.head) > 0, chosen, passed)
        return (chosen & (label == pseudo.labels)).to(pseudo.mask.dtype), news

    @torch.no_grad()
    def enter_news(self, news: dict[str, Tensor]) -> None:
        """Enter what :meth:`forward` gave."""
        slots, label, level, passed = (news[name] for name in ("slots", "label", "level", "passed"))
        before, known, one = *self._before(slots), _once(slots)
        gone = one & known
        place = before["label"] * LEVELS + before["level"]
        counts = self.counts.view(-1)
        counts.scatter_add_(0, torch.where(gone, place, 0), -gone.int())
        counts.scatter_add_(0, label * LEVELS + level, one.int())
        self.passing.scatter_add_(0, before["label"], -(gone & before["passed"]).long())
        self.passing.scatter_add_(0, label, (one & passed).long())
        for name, values in (("label", label), ("level", level), ("passed", passed)):
            buffer = self.get_buffer(name)
            buffer[slots] = values.to(buffer.dtype)

    def _before(self, slots: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """What is remembered of images (N,), 0 as the class of unknown ones, and which are known."""
        label = self.label[slots].long()
        found = {"label": label.clamp(min=0), "level": self.level[slots].long(), "passed": self.passed[slots]}
        return found, label != NEVER

    def _ranked(self, news: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """How many images of the same class are more confident than each of the batch, and how many as
        confident, once the batch is entered, each (N,) int64."""
        label, level, one = news["label"], news["level"].long(), _once(news["slots"])
        before, known = self._before(news["slots"])
        rows, levels = self.counts[label], torch.arange(LEVELS, device=label.device)
        above = (rows * (levels < level[:, None])).sum(dim=1)
        equal = rows.gather(1, level[:, None]).squeeze(1).long()
        for sign, count, labels, others in (
            (1, one, label, level),
            (-1, one & known, before["label"], before["level"]),
        ):
            same = (label[:, None] == labels) & count
            above += sign * (same & (others < level[:, None])).sum(dim=1)
            equal += sign * (same & (others == level[:, None])).sum(dim=1)
        return above, equal

    def _quotas(self, news: dict[str, Tensor]) -> Tensor:
        """How many pseudo-labels count of the class of each of the batch, (N,) or 0-d int64."""
        before, known = self._before(news["slots"])
        one, old = _once(news["slots"]), before["passed"] & known
        if self.head is None:
            passed = self.passing.sum() + (one & news["passed"]).sum() - (one & old).sum()
            return -(-passed // self.num_classes)
        entered = (one & news["passed"] & (news["label"] == self.head)).sum()
        passed = self.passing[self.head] + entered - (one & old & (before["label"] == self.head)).sum()
        sizes = self._size_after(news, news["label"])
        return sizes * passed // self._size_after(news, self.head).clamp(min=1)

    def _size_after(self, news: dict[str, Tensor], classes: Tensor | int) -> Tensor:
        """Images of classes (N,), or of one, once the batch is entered."""
        before, known = self._before(news["slots"])
        one, wanted = _once(news["slots"]), torch.as_tensor(classes, device=known.device)[..., None]
        entered = ((wanted == news["label"]) & one).sum(dim=-1)
        left = ((wanted == before["label"]) & one & known).sum(dim=-1)
        return self.counts[classes].sum(dim=-1) + entered - left


def _once(slots: Tensor) -> Tensor:
    """One position of each image in a batch, (N,) bool."""
    return last_positions(slots) == torch.arange(len(slots), device=slots.device)
