"""Memory of images and their pseudo-labels."""

import torch
from torch import Tensor, nn

from ssl_mix.errors import UserError
from ssl_mix.types import PseudoLabels

NEVER = -1
CHUNK = 2**24  # slots that are counted at a time


def last_positions(slots: Tensor, counted: Tensor | None = None) -> Tensor:
    """For each entry of ``slots`` the last position in it that names the same slot, (N,); -1 where none is
    counted.

    What is written at all of those positions is then the same, so that the order of writing cannot matter.
    Takes time and memory for the batch alone, however many slots there are.

    Args:
        slots: slot numbers, (N,) int64, duplicates allowed.
        counted: which positions may be found, (N,) bool; default: all.
    """
    row, order = slots.sort(stable=True)
    found = order if counted is None else torch.where(counted[order], order, -1)
    start = torch.searchsorted(row, row)  # a number for each slot, that ascends
    key = (start * (len(slots) + 1) + found + 1).cummax(dim=0).values
    end = torch.searchsorted(row, slots, right=True) - 1
    return key[end] - start[end] * (len(slots) + 1) - 1


def class_type(num_classes: int) -> torch.dtype:
    """The smallest type of the numbers of C classes and of -1 beside them."""
    return torch.int16 if num_classes <= torch.iinfo(torch.int16).max else torch.int32


def confidences(doubt: Tensor) -> Tensor:
    """Confidences (N,) float32 from how far they are from 1: 16 bits of that lose nothing near 1."""
    return 1 - doubt.float()


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
        label: class predicted last, (U,) of :func:`class_type`; -1 before the first pseudo-label.
        doubt: 1 less the confidence of that pseudo-label, (U,) float16; see :func:`confidences`.
        passed: whether that pseudo-label passed the threshold, or weighs at least one half, (U,) bool.
        first_passed: first step in which a pseudo-label passed, (U,) int32; -1 for never.
        last_passed: last such step, (U,) int32; -1 for never.
        changes: how often the predicted class changed, (U,) int32.

    Args:
        num_unlabeled: U, images in the unlabeled part.
        num_classes: C.
    """

    label: Tensor
    doubt: Tensor
    passed: Tensor
    first_passed: Tensor
    last_passed: Tensor
    changes: Tensor

    def __init__(self, num_unlabeled: int, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.register_buffer("label", torch.full((num_unlabeled,), NEVER, dtype=class_type(num_classes)))
        for name in ("first_passed", "last_passed"):
            self.register_buffer(name, torch.full((num_unlabeled,), NEVER, dtype=torch.int32))
        self.register_buffer("doubt", torch.ones(num_unlabeled, dtype=torch.float16))
        self.register_buffer("passed", torch.zeros(num_unlabeled, dtype=torch.bool))
        self.register_buffer("changes", torch.zeros(num_unlabeled, dtype=torch.int32))

    def near(self, device: torch.device) -> "PseudoLabelBank":
        """The bank on the device, or in the memory of the host where it would take more than half of what is
        free on a GPU; a step then waits for the GPU once."""
        needed = sum(buffer.nbytes for buffer in self.buffers())
        fits = device.type != "cuda" or needed <= torch.cuda.mem_get_info(device)[0] // 2
        return self.to(device) if fits else self

    @property
    def confidence(self) -> Tensor:
        """Of each last pseudo-label, (U,) float32; 0 before the first."""
        return confidences(self.doubt)

    @torch.no_grad()
    def update(self, pseudo: PseudoLabels, step: int) -> Tensor:
        """Enter the pseudo-labels of one step; where an image occurs twice in the batch, its last
        pseudo-label counts.

        Returns:
            Share of the batch whose predicted class is another than the last time, 0-d.

        Raises:
            ValueError: the pseudo-labels do not say of which images they are.
        """
        place, columns = self.label.device, (pseudo.labels, pseudo.confidence, pseudo.mask)
        slots = known_indices(pseudo.indices).to(place)
        winner = last_positions(slots)
        label, confidence, mask = (column.to(place)[winner] for column in columns)
        label, passed = label.to(self.label.dtype), mask >= 0.5
        before, first, last = self.label[slots], self.first_passed[slots], self.last_passed[slots]
        changed = (before != NEVER) & (before != label)
        self.changes[slots] += changed
        self.first_passed[slots] = torch.where(passed & (first == NEVER), step, first)
        self.last_passed[slots] = torch.where(passed, step, last)
        self.label[slots] = label
        self.doubt[slots] = (1 - confidence.float()).to(self.doubt.dtype)
        self.passed[slots] = passed
        return changed.float().mean().to(pseudo.labels.device)

    def coverage(self) -> Tensor:
        """Share of all unlabeled images whose last pseudo-label passed, 0-d; 0 for an empty bank."""
        return self.passed.sum() / max(1, len(self.passed))

    def precision(self, truth: Tensor) -> Tensor:
        """Share of right pseudo-labels among those that passed and whose true class is known, 0-d; nan where
        there are none.

        Args:
            truth: true classes (U,) int64, -1 where unknown. Never shown to an algorithm.
        """
        truth = truth.to(self.label.device)
        judged = self.passed & (truth >= 0)
        return (judged & (self.label == truth)).sum() / judged.sum()

    def agreement(self, classes: Tensor, slots: Tensor) -> Tensor:
        """Share of ``slots`` (N,) with a pseudo-label where it is of the given classes (N,), 0-d; nan where
        none has a pseudo-label."""
        known = self.label[slots.to(self.label.device)]
        return (known == classes.to(known.device)).float().sum() / (known != NEVER).float().sum()

    def class_counts(self) -> Tensor:
        """Passed pseudo-labels per class, (C,) int64."""
        counts = torch.zeros(self.num_classes, dtype=torch.int64, device=self.label.device)
        parts = zip(torch.split(self.label, CHUNK), torch.split(self.passed, CHUNK), strict=True)
        for label, passed in parts:
            counts.scatter_add_(0, label.long().clamp(min=0), passed.long())
        return counts


class LastClasses(nn.Module):
    """The class that each unlabeled image was last confidently taken for, and how many there are of each; a
    step takes time for its batch alone.

    Args:
        num_unlabeled: U, images in the unlabeled part.
        num_classes: C.

    Attributes:
        label: class, (U,) of :func:`class_type`; -1 for never.
        counts: images of each class, those of none first, (C + 1,) int64.
    """

    label: Tensor
    counts: Tensor

    def __init__(self, num_unlabeled: int, num_classes: int) -> None:
        super().__init__()
        self.register_buffer("label", torch.full((num_unlabeled,), NEVER, dtype=class_type(num_classes)))
        counts = torch.zeros(num_classes + 1, dtype=torch.int64)
        counts[0] = num_unlabeled
        self.register_buffer("counts", counts)

    @torch.no_grad()
    def update(self, slots: Tensor, labels: Tensor, counted: Tensor) -> None:
        """Enter the classes (N,) of images (N,) where they are counted (N,); of an image that occurs twice
        the last counted class."""
        last = last_positions(slots, counted)
        before = self.label[slots]
        now = torch.where(last >= 0, labels[last].to(before.dtype), before)
        moved = (last == torch.arange(len(slots), device=slots.device)).long()  # one position of each image
        self.counts.scatter_add_(0, before.long() + 1, -moved).scatter_add_(0, now.long() + 1, moved)
        self.label[slots] = now

    def enter(self, carry: dict[str, Tensor]) -> dict[str, Tensor]:
        """Enter the "labels" of a step for the images at "indices" where they are "learned"; returns the rest
        of the news."""
        rest = dict(carry)
        slots, labels, learned = (rest.pop(name) for name in ("indices", "labels", "learned"))
        self.update(slots, labels, learned > 0)
        return rest
