"""Memory of images, their pseudo-labels and their keys."""

import torch
from torch import Tensor, nn

from ssl_mix.errors import UserError
from ssl_mix.types import PseudoLabels

NEVER = -1


def last_positions(slots: Tensor, size: int, counted: Tensor | None = None) -> Tensor:
    """For each entry of ``slots`` the last position in it that names the same slot, (N,); -1 where none is
    counted.

    What is written at all of those positions is then the same, so that the order of writing cannot matter.

    Args:
        slots: slot numbers, (N,) int64, duplicates allowed.
        size: how many slots there are.
        counted: which positions may be found, (N,) bool; default: all.
    """
    position = torch.arange(len(slots), device=slots.device)
    if counted is not None:
        position = torch.where(counted, position, -1)
    return position.new_full((size,), -1).scatter_reduce_(0, slots, position, "amax")[slots]


def known_indices(indices: Tensor | None, part: str = "unlabeled") -> Tensor:
    """The positions of a batch in the labeled or unlabeled part, for what remembers single images.

    Raises:
        ValueError: there are none.
    """
    if indices is None:
        raise UserError(
            f"what remembers single images needs their positions in the {part} part, got None: "
            "Samples(views, indices=positions)"
        )
    return indices


class PseudoLabelBank(nn.Module):
    """The last pseudo-label for each unlabeled image, and how that changed. One slot per image, all in
    buffers.

    Attributes:
        label: class predicted last, (U,) int64; -1 before the first pseudo-label.
        confidence: of that pseudo-label, (U,) float32.
        passed: whether that pseudo-label passed the threshold, or weighs at least one half, (U,) bool.
        first_passed: first step in which a pseudo-label passed, (U,) int64; -1 for never.
        last_passed: last such step, (U,) int64; -1 for never.
        changes: how often the predicted class changed, (U,) int64.

    Args:
        num_unlabeled: U, images in the unlabeled part.
        num_classes: C.
    """

    label: Tensor
    confidence: Tensor
    passed: Tensor
    first_passed: Tensor
    last_passed: Tensor
    changes: Tensor

    def __init__(self, num_unlabeled: int, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        for name in ("label", "first_passed", "last_passed"):
            self.register_buffer(name, torch.full((num_unlabeled,), NEVER))
        self.register_buffer("confidence", torch.zeros(num_unlabeled))
        self.register_buffer("passed", torch.zeros(num_unlabeled, dtype=torch.bool))
        self.register_buffer("changes", torch.zeros(num_unlabeled, dtype=torch.int64))

    @torch.no_grad()
    def update(self, pseudo: PseudoLabels, step: int) -> Tensor:
        """Enter the pseudo-labels of one step; where an image occurs twice in the batch, its last
        pseudo-label counts.

        Returns:
            Share of the batch whose predicted class is another than the last time, 0-d.

        Raises:
            ValueError: the pseudo-labels do not say of which images they are.
        """
        slots = known_indices(pseudo.indices)
        winner = last_positions(slots, len(self.label))
        label, passed = pseudo.labels[winner], pseudo.mask[winner] >= 0.5
        before, first, last = self.label[slots], self.first_passed[slots], self.last_passed[slots]
        changed = (before != NEVER) & (before != label)
        self.changes[slots] += changed
        self.first_passed[slots] = torch.where(passed & (first == NEVER), step, first)
        self.last_passed[slots] = torch.where(passed, step, last)
        self.label[slots] = label
        self.confidence[slots] = pseudo.confidence[winner]
        self.passed[slots] = passed
        return changed.float().mean()

    def coverage(self) -> Tensor:
        """Share of all unlabeled images whose last pseudo-label passed, 0-d; 0 for an empty bank."""
        return self.passed.float().sum() / max(1, len(self.passed))

    def precision(self, truth: Tensor) -> Tensor:
        """Share of right pseudo-labels among those that passed and whose true class is known, 0-d; nan where
        there are none.

        Args:
            truth: true classes (U,) int64, -1 where unknown. Never shown to an algorithm.
        """
        judged = self.passed & (truth >= 0)
        return (judged & (self.label == truth)).float().sum() / judged.float().sum()

    def agreement(self, classes: Tensor, slots: Tensor) -> Tensor:
        """Share of ``slots`` (N,) with a pseudo-label where it is of the given classes (N,), 0-d; nan where
        none has a pseudo-label."""
        known = self.label[slots]
        return (known == classes).float().sum() / (known != NEVER).float().sum()

    def class_counts(self) -> Tensor:
        """Passed pseudo-labels per class, (C,) int64."""
        counts = torch.zeros(self.num_classes, dtype=torch.int64, device=self.label.device)
        return counts.scatter_add_(0, self.label.clamp(min=0), self.passed.long())


class ClassQuota(nn.Module):
    """Which pseudo-labels count: of every class the most confident ones, as many of each or as large a share.

    Every unlabeled image is remembered with its last pseudo-label, and one counts if its confidence is among
    the K_c highest of all that are of its class c; of equals the first image is first. Without a ``head``
    class ``K_c = ceil(P / C)``, where the algorithm's own rule lets P of them pass; a class that fewer images
    are taken for has fewer. With one ``K_c = floor(rho n_c)``: n_c images are taken for class c, and the
    algorithm's own rule lets the share rho of those of the head class pass; while there are none of those,
    that rule is kept.

    Args:
        num_unlabeled: U, images in the unlabeled part.
        num_classes: C.
        head: the class with the most labels, whose share the others get; None for equal numbers.

    Attributes:
        label: class predicted last, (U,) int64; -1 before the first pseudo-label.
        confidence: of that pseudo-label, (U,) float32.
        passed: whether the algorithm's own rule lets it pass, (U,) bool.

    Source: Huang et al., "Unsupervised Prompt Learning for Vision-Language Models" (2022), section 3.2, and
    Menghini et al., "Enhancing CLIP with CLIP" (NeurIPS 2023), which take the K most confident of each class
    once in a round; Zou et al., "Class-Balanced Self-Training" (ECCV 2018), which rank within a class. With a
    head class: Guo and Li, "Class-Imbalanced Semi-Supervised Learning with Adaptive Thresholding" (Adsh, ICML
    2022), Algorithm 1, where the K_c-th confidence is the threshold of class c. Differs: the memory lets
    every step choose, where these do once in a round; K follows the algorithm's own rule, not a number.
    """

    label: Tensor
    confidence: Tensor
    passed: Tensor

    def __init__(self, num_unlabeled: int, num_classes: int, head: int | None = None) -> None:
        super().__init__()
        self.num_classes, self.head = num_classes, head
        self.register_buffer("label", torch.full((num_unlabeled,), NEVER))
        self.register_buffer("confidence", torch.zeros(num_unlabeled))
        self.register_buffer("passed", torch.zeros(num_unlabeled, dtype=torch.bool))

    @torch.no_grad()
    def forward(self, pseudo: PseudoLabels) -> tuple[Tensor, dict[str, Tensor]]:
        """1 for the pseudo-labels of a step that count, else 0, (N,) float; and what the buffers become.

        Where an image occurs twice in the batch its last pseudo-label counts.

        Raises:
            ValueError: the pseudo-labels do not say of which images they are.
        """
        slots = known_indices(pseudo.indices)
        winner = last_positions(slots, len(self.label))
        given = {"label": pseudo.labels, "confidence": pseudo.confidence, "passed": pseudo.mask > 0}
        news = {}
        for name, values in given.items():
            old = getattr(self, name)
            news[name] = old.index_put((slots,), values[winner].to(old.dtype))
        label = news["label"]
        chosen = self._ranks(label, news["confidence"])[slots] < self._quotas(label, news["passed"])[slots]
        if self.head is not None:
            chosen = torch.where((label == self.head).any(), chosen, news["passed"][slots])
        return (chosen & (label[slots] == pseudo.labels)).to(pseudo.mask.dtype), news

    def _quotas(self, label: Tensor, passed: Tensor) -> Tensor:
        """How many pseudo-labels count of the class of each image, (U,) int64."""
        if self.head is None:
            return (-(-passed.sum() // self.num_classes)).expand(len(label))
        groups = label + 1
        sizes = groups.new_zeros(self.num_classes + 1).scatter_add_(0, groups, torch.ones_like(groups))
        own = label == self.head
        return (sizes * (own & passed).sum() // own.sum().clamp(min=1))[groups]

    def _ranks(self, label: Tensor, confidence: Tensor) -> Tensor:
        """How many images of the same class come before each, (U,) int64."""
        order = confidence.argsort(descending=True, stable=True)
        order = order[label[order].argsort(stable=True)]
        groups = label + 1
        sizes = groups.new_zeros(self.num_classes + 1).scatter_add_(0, groups, torch.ones_like(groups))
        first = (sizes.cumsum(dim=0) - sizes)[groups[order]]
        place = torch.arange(len(order), device=order.device)
        return torch.empty_like(order).scatter_(0, order, place - first)


class ClassQueue(nn.Module):
    """The newest keys of each class: a ring of D slots per class.

    Attributes:
        keys: normalized, (C, D, E) float32; random directions at first.
        next_slot: where the next key of each class goes, (C,) int64.

    Args:
        num_classes: C.
        depth: D, keys per class.
        width: E, of a key.
        generator: of the first keys.
    """

    keys: Tensor
    next_slot: Tensor

    def __init__(
        self, num_classes: int, depth: int, width: int, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        start = torch.randn(num_classes, depth, width, generator=generator)
        self.register_buffer("keys", nn.functional.normalize(start, dim=2))
        self.register_buffer("next_slot", torch.zeros(num_classes, dtype=torch.int64))

    @torch.no_grad()
    def push(self, keys: Tensor, labels: Tensor) -> None:
        """Put keys (N, E) into the rings of their classes (N,), as if one after the other."""
        classes, depth, _ = self.keys.shape
        earlier = (labels[:, None] == labels[None, :]).tril(-1).sum(dim=1)
        slots = labels * depth + (self.next_slot[labels] + earlier) % depth
        flat = self.keys.view(classes * depth, -1)
        flat[slots] = keys.to(flat.dtype)[last_positions(slots, len(flat))]
        self.next_slot.scatter_add_(0, labels, torch.ones_like(labels)).remainder_(depth)

    @torch.no_grad()
    def fill(self, keys: Tensor, labels: Tensor) -> None:
        """Fill the rings of the classes (N,) that have keys (N, E) with them, over and over where they are
        fewer than the slots; other rings stay as they are. Waits for the device."""
        depth = self.keys.shape[1]
        for label in sorted(set(labels.tolist())):
            own = keys[labels == label].to(self.keys)
            self.keys[label] = own[torch.arange(depth, device=own.device) % len(own)]


class LabeledBank(nn.Module):
    """The last key and the class of each labeled image, one slot per image.

    Attributes:
        keys: normalized, (L, E) float32; zeros where there is none yet.
        truth: classes, (L, C) float32 one-hot; zeros where there is no key yet.

    Args:
        num_labeled: L.
        num_classes: C.
        width: E, of a key.

    Raises:
        ValueError: it is not known how many labeled images there are.
    """

    keys: Tensor
    truth: Tensor

    def __init__(self, num_labeled: int, num_classes: int, width: int) -> None:
        super().__init__()
        if num_labeled < 1:
            raise UserError(
                "a memory of the labeled images needs to know how many there are: "
                f"Task(..., num_labeled=NUMBER), got {num_labeled}"
            )
        self.register_buffer("keys", torch.zeros(num_labeled, width))
        self.register_buffer("truth", torch.zeros(num_labeled, num_classes))

    @torch.no_grad()
    def with_batch(self, keys: Tensor, labels: Tensor, slots: Tensor) -> tuple[Tensor, Tensor]:
        """What ``keys`` and ``truth`` become with keys (N, E), classes (N,) and slots (N,) of a batch
        entered, of an image that occurs twice the last."""
        last = last_positions(slots, len(self.keys))
        truth = nn.functional.one_hot(labels[last], self.truth.shape[1]).to(self.truth.dtype)
        found = self.keys.index_put((slots,), keys[last].to(self.keys.dtype))
        return found, self.truth.index_put((slots,), truth)

    def enter(self, keys: Tensor, labels: Tensor, slots: Tensor) -> None:
        """Enter them."""
        for old, new in zip((self.keys, self.truth), self.with_batch(keys, labels, slots), strict=True):
            old.copy_(new)

    def fill(self, keys: Tensor, labels: Tensor) -> None:
        """Enter the keys (L, E) and classes (L,) of all labeled images, in their order."""
        self.enter(keys, labels, torch.arange(len(keys), device=keys.device))
