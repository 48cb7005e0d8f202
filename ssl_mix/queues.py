"""Memory of the keys of images, by class or one for each labeled image."""

import torch
from torch import Tensor, nn

from ssl_mix.banks import last_positions
from ssl_mix.errors import UserError


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
        flat[slots] = keys.to(flat.dtype)[last_positions(slots)]
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
        last = last_positions(slots)
        truth = nn.functional.one_hot(labels[last], self.truth.shape[1]).to(self.truth.dtype)
        found = self.keys.index_put((slots,), keys[last].to(self.keys.dtype))
        return found, self.truth.index_put((slots,), truth)

    def enter(self, carry: dict[str, Tensor]) -> dict[str, Tensor]:
        """Enter the "keys", "classes" and "slots" of a step; returns the rest of the news."""
        rest = dict(carry)
        batch = (rest.pop(name) for name in ("keys", "classes", "slots"))
        for old, new in zip((self.keys, self.truth), self.with_batch(*batch), strict=True):
            old.copy_(new)
        return rest

    def fill(self, keys: Tensor, labels: Tensor) -> None:
        """Enter the keys (L, E) and classes (L,) of all labeled images, in their order."""
        slots = torch.arange(len(keys), device=keys.device)
        self.enter({"keys": keys, "classes": labels, "slots": slots})
