"""TokenMix: paste many blocks of patches, and weigh labels by what they show of their classes."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from ssl_mix.errors import check_count, check_positive
from ssl_mix.mixers._common import (
    check_float,
    composite,
    cross,
    pixel_share,
    resolve_lam,
    sample_uniform,
    segments,
    usable_saliency,
)
from ssl_mix.mixers.activation import activation_maps, shown_shares
from ssl_mix.mixers.cells import spread
from ssl_mix.mixers.hooks import check_net, hidden_layer_names
from ssl_mix.mixers.mixer import Mixed, Mixer, Pair

ATTEMPTS = 24
ASPECT = math.log(0.3)


def block_cells(count: Tensor, cells: int, draws: Tensor) -> Tensor:
    """Cells of a grid covered by random blocks until ``count`` of them are, or no attempt is left.

    A block has an area drawn from 1 to the cells that are missing, an aspect whose logarithm is uniform in
    log 0.3 to -log 0.3, and any place. It counts if it adds at least one cell and not too many, and is
    smaller than the grid in both directions.

    Args:
        count: (N,) whole numbers up to cells^2.
        cells: of each side of the grid.
        draws: (attempts, N, 4) from U[0, 1).

    Returns:
        (N, cells, cells) bool, with at most ``count`` True.
    """
    covered = torch.zeros(len(count), cells, cells, dtype=torch.bool, device=count.device)
    for area, aspect, top, left in (attempt.unbind(1) for attempt in draws):
        missing = count - covered.sum((1, 2))
        size = 1 + area * (missing - 1).clamp(min=0)
        ratio = torch.exp(ASPECT * (1 - 2 * aspect) / 2)
        height, width = (size.sqrt() * ratio).round(), (size.sqrt() / ratio).round()
        start, first = (
            (place * (cells - side + 1)).floor() for place, side in ((top, height), (left, width))
        )
        block = cross(segments(start, height, cells), segments(first, width, cells))[:, 0] & ~covered
        added = block.sum((1, 2))
        fits = (added > 0) & (added <= missing) & (torch.maximum(height, width) < cells)
        covered = covered | (block & fits[:, None, None])
    return covered


@dataclass(frozen=True)
class TokenMix(Mixer):
    """Paste the partner into several blocks of patches, and weigh both labels by the share of their
    activation maps that is shown.

    Blocks of the grid, drawn as BEiT draws those it hides, together cover at most ``round((1 - lam)
    cells^2)`` patches, with one ``lam ~ Beta(alpha, alpha)`` per sample. With the shares
    :func:`ssl_mix.mixers.activation.activation_maps` S of each pixel in the evidence for a class, the
    returned lam is ``S_a(kept) / (S_a(kept) + S_b(pasted))``: it is not the share of the pixels, which the
    mask tells. ``mix`` of two batches takes S as ``saliency_a`` and ``saliency_b``; without them lam is the
    share of the pixels.

    Args:
        alpha: of the Beta distribution.
        cells: patches along each side: those of the transformer, 14 for 224 pixels in patches of 16.

    Raises:
        ValueError: alpha is not above 0, cells is no whole number above 0, the network of a batch is missing
            or compiled or names no stages, or shapes differ.

    Source: Liu et al., "TokenMix: Rethinking Image Mixing for Data Augmentation in Vision Transformers" (ECCV
    2022). Differs from the published code: lam is drawn (there 0.5, plus 14 patches) and blocks are drawn per
    sample, in 24 attempts for all samples at once; maps come from the network that is asked, the momentum
    network in training here, where that reads maps of a large teacher from a file; weights are divided by
    their sum; partners are a random permutation.

    Examples:
        >>> from ssl_mix.models import build_model
        >>> net = build_model("small-cnn", 10)
        >>> images, target = TokenMix(cells=4)(torch.rand(4, 3, 8, 8), torch.arange(4), net=net)
        >>> images.shape, target.lam.shape
        (torch.Size([4, 3, 8, 8]), torch.Size([4]))
    """

    alpha: float = 1.0
    cells: int = 14

    needs: ClassVar[frozenset[str]] = frozenset({"net"})

    def __post_init__(self) -> None:
        check_positive("alpha", self.alpha)
        check_count("cells", self.cells)

    def prepare(self, net: nn.Module, image_shape: tuple[int, int, int]) -> None:
        """Check that the network names its stages."""
        del image_shape
        hidden_layer_names(net)

    def saliency(self, images: Tensor, labels: Tensor, net: nn.Module | None) -> Tensor:
        """Activation maps of the labels."""
        check_float(images, self)
        return activation_maps(check_net(net, self), images, labels)

    def blend(self, pair: Pair, lam: Tensor | float | None, generator: torch.Generator | None) -> Mixed:
        """Paste blocks of ``images_b`` into ``images_a``."""
        images = pair.images_a
        lam = resolve_lam(lam, self.alpha, images, generator)
        draws = sample_uniform((ATTEMPTS, len(images), 4), generator, images.device)
        covered = block_cells(((1 - lam) * self.cells**2).round(), self.cells, draws)
        mask = spread(~covered, *images.shape[2:])
        mixed, share = composite(images, pair.images_b, mask, own_b=pair.own_b), pixel_share(mask)
        if pair.saliency_a is None or pair.saliency_b is None:
            return Mixed(mixed, share, mask)
        own, other = (usable_saliency(given, images.device) for given in (pair.saliency_a, pair.saliency_b))
        kept, got = (own * mask[:, 0]).sum((1, 2)), (other * ~mask[:, 0]).sum((1, 2))
        tiny = torch.finfo(own.dtype).tiny
        kept, got = kept / own.sum((1, 2)).clamp(min=tiny), got / other.sum((1, 2)).clamp(min=tiny)
        return Mixed(mixed, shown_shares(kept, got, share), mask)
