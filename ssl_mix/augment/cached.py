"""Views that are looked up: of every image, the features of some weak and some strong views, computed
once."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ssl_mix.augment.views import kind_of
from ssl_mix.errors import UserError, check_not_negative, nearest

KEPT = ("plain", "weak", "strong")  # kinds of views


def view_names(count: int) -> tuple[str, ...]:
    """The views whose features are kept of an image to learn from: "plain", and ``count`` of each other kind.

    Raises:
        ValueError: fewer than none of a kind.
    """
    check_not_negative("feature_views", count)
    numbers = ["", *map(str, range(2, count + 1))][:count]
    return ("plain", *(f"{kind}{number}" for kind in KEPT[1:] for number in numbers))


class CachedViews:
    """A table of features in place of an augmentation: to the network a view is an image of one pixel with D
    channels.

    What is stored of an image is the number of its first row, that of its plain view; the rows of its weak
    views follow, then those of the strong ones. An image to be tested on has its plain row alone. "plain" is
    the first row, "weak" and "strong" (and "weak2", ...) are one of theirs each, drawn for each image.

    Args:
        table: (R, D) features, float16 or wider.
        count: K, rows of each kind; where there are none, all views are plain.
    """

    flip = True

    def __init__(self, table: Tensor, count: int) -> None:
        self.table, self.count = table, count
        self._copies: dict[torch.device, Tensor] = {}

    def seen(self, shape: tuple[int, int, int]) -> tuple[int, int, int]:
        """(D, 1, 1), as it is stored."""
        return shape

    def plain(self, images: Tensor) -> Tensor:
        """First rows (N,) as they are."""
        return images

    def normalize(self, images: Tensor, *, channels_last: bool = False) -> Tensor:
        """The features in these rows (N,), float32 (N, D, 1, 1); of one pixel every layout is the same."""
        del channels_last
        found = self._near(images.device).index_select(0, images)
        return found.float()[:, :, None, None]

    def views(
        self, images: Tensor, names: Sequence[str], generator: torch.Generator, *, channels_last: bool = False
    ) -> dict[str, Tensor]:
        """The features of views by name, float32 (N, D, 1, 1) each.

        Args:
            images: first rows, (N,) int64.
            names: of the views.
            generator: on the CPU, of the draws.
            channels_last: has no effect.

        Raises:
            ValueError: a view is unknown.
        """
        return {
            name: self.normalize(self._rows(images, name, generator), channels_last=channels_last)
            for name in names
        }

    def _rows(self, images: Tensor, name: str, generator: torch.Generator) -> Tensor:
        kind = kind_of(name)
        if kind not in KEPT:
            raise UserError(f"unknown view {name!r}: choose {', '.join(KEPT)}.{nearest(name, KEPT)}")
        if kind == "plain" or not self.count:
            return images
        first = 1 + self.count * (KEPT.index(kind) - 1)
        drawn = torch.randint(first, first + self.count, images.shape, generator=generator)
        return images + drawn.to(images.device, non_blocking=True)

    def _near(self, device: torch.device) -> Tensor:
        if device not in self._copies:
            self._copies[device] = self.table.to(device)
        return self._copies[device]
