"""SnapMix: paste a part of the partner, and weigh labels by what the parts show of their classes."""

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssl_mix.errors import check_positive
from ssl_mix.mixers._common import (
    check_float,
    paste_box,
    resolve_lam,
    sample_uniform,
    usable_saliency,
)
from ssl_mix.mixers.activation import activation_maps, shown_shares
from ssl_mix.mixers.cutmix import outside_box
from ssl_mix.mixers.hooks import check_net, hidden_layer_names
from ssl_mix.mixers.mixer import Mixed, Mixer, Pair


def fitted_box(images: Tensor, source: tuple[Tensor, ...], target: tuple[Tensor, ...]) -> Tensor:
    """Images of which a box is scaled into another box, bilinearly, corners to corners.

    Args:
        images: (N, C, H, W) float.
        source: 1 for the rows (N, H) and the columns (N, W) beyond the box that is read, 0 within.
        target: the same for the box that is filled.

    Returns:
        (N, C, H, W); of no meaning outside the target box.
    """
    places = []
    for side, read, filled in zip(images.shape[2:], source, target, strict=True):
        (start, length), (first, room) = _extent(read), _extent(filled)
        pixel = torch.arange(side, device=images.device)
        step = (length - 1).clamp(min=0) / (room - 1).clamp(min=1)
        places.append((start + (pixel - first) * step) * (2 / max(side - 1, 1)) - 1)
    shape = (len(images), *images.shape[2:])
    rows, columns = places[0][:, :, None].expand(shape), places[1][:, None].expand(shape)
    precise = torch.promote_types(images.dtype, torch.float32)
    grid = torch.stack((columns, rows), 3).to(precise)
    return F.grid_sample(images.to(precise), grid, padding_mode="border", align_corners=True).to(images.dtype)


def _extent(outside: Tensor) -> tuple[Tensor, Tensor]:
    """First pixel and length of segments, (N, 1) each, of (N, side) that is 0 within."""
    return outside.argmin(1, keepdim=True), (1 - outside).sum(1, keepdim=True)


@dataclass(frozen=True)
class SnapMix(Mixer):
    """Fill a box with a box of the partner of another size and place, and weigh both labels by the share of
    their activation maps that is shown.

    Both boxes are those of :class:`CutMix`, each with a ``lam ~ Beta(alpha, alpha)`` of its own; the
    partner's is scaled to the other. Where one has no pixel nothing is pasted. With the shares
    :func:`ssl_mix.mixers.activation.activation_maps` S of each pixel in the evidence for a class, a shows
    ``kept = 1 - S_a(box filled)`` of its class, b shows ``got = S_b(box read)``, and the returned lam is
    ``kept / (kept + got)``: it is not the share of the pixels, which the mask tells. ``mix`` of two batches
    takes S as ``saliency_a`` and ``saliency_b``; without them lam is the share of the pixels.

    Args:
        alpha: of the Beta distribution.

    Raises:
        ValueError: alpha is not above 0, the network of a batch is missing or compiled or names no stages,
            images are integers, or shapes differ.

    Source: Huang et al., "SnapMix: Semantically Proportional Mixing for Augmenting Fine-grained Data" (AAAI
    2021). Differs: the paper weighs the loss by ``kept`` and ``got`` as they are, whose sum is not 1; here a
    target is a distribution, so they are divided by their sum. Boxes and lam are per sample; the map is that
    of the momentum network in training here, of the student in the published code.

    Examples:
        >>> from ssl_mix.models import build_model
        >>> net = build_model("small-cnn", 10)
        >>> images, target = SnapMix()(torch.rand(4, 3, 8, 8), torch.arange(4), net=net)
        >>> images.shape, target.lam.shape
        (torch.Size([4, 3, 8, 8]), torch.Size([4]))
    """

    alpha: float = 5.0

    needs: ClassVar[frozenset[str]] = frozenset({"net"})

    def __post_init__(self) -> None:
        check_positive("alpha", self.alpha)

    def prepare(self, net: nn.Module, image_shape: tuple[int, int, int]) -> None:
        """Check that the network names its stages."""
        del image_shape
        hidden_layer_names(net)

    def saliency(self, images: Tensor, labels: Tensor, net: nn.Module | None) -> Tensor:
        """Activation maps of the labels."""
        check_float(images, self)
        return activation_maps(check_net(net, self), images, labels)

    def blend(self, pair: Pair, lam: Tensor | float | None, generator: torch.Generator | None) -> Mixed:
        """Paste boxes of ``images_b``, scaled, into boxes of ``images_a``."""
        images = pair.images_a
        check_float(images, self)
        filled, read = (self._box(images, lam, generator) for _ in range(2))
        some = torch.stack([(outside == 0).any(1) for outside in (*filled, *read)]).all(0)[:, None]
        filled = (filled[0].where(some, 1.0), filled[1].where(some, 1.0))
        pasted = fitted_box(pair.images_b, read, filled)
        mixed, share, mask = paste_box(images, pasted, *filled, own_b=True)
        if pair.saliency_a is None or pair.saliency_b is None:
            return Mixed(mixed, share, mask)
        own, other = (usable_saliency(given, images.device) for given in (pair.saliency_a, pair.saliency_b))
        kept = 1 - _inside(own, *filled)
        got = _inside(other, *read) * some[:, 0]
        return Mixed(mixed, shown_shares(kept, got, share), mask)

    def _box(
        self, images: Tensor, lam: Tensor | float | None, generator: torch.Generator | None
    ) -> tuple[Tensor, Tensor]:
        share = resolve_lam(lam, self.alpha, images, generator)
        return outside_box(
            sample_uniform((len(images), 2), generator, images.device), share, *images.shape[2:]
        )


def _inside(maps: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Share of maps (N, H, W) within boxes, (N,)."""
    total = maps.sum((1, 2))
    inside = torch.einsum("nhw,nh,nw->n", maps, (1 - rows).to(maps.dtype), (1 - columns).to(maps.dtype))
    return inside / total.clamp(min=torch.finfo(maps.dtype).tiny)
