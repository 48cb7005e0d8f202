"""MixBlocks: masks for pairs of images from attention between their feature maps."""

from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LAM_SCALE = 1.25


class MixBlock(nn.Module):
    """Each place of a attends to the places of b, and what is found there says how much of a is to stay.

    With ``f = [f_a, lam]`` and ``g = [f_b, 1 - lam]``, lam as one channel more: ``P = softmax(W f (W g)^T /
    sqrt(C / 2))`` over the places of b, and ``mask = 1 - sigmoid(upsample(P V g))``, upsampled to the
    nearest.

    Args:
        channels: C of the feature maps.

    Source: Liu et al., "AutoMix: Unveiling the Power of Mixup for Stronger Classifiers" (ECCV 2022).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query = nn.Conv2d(channels + 1, _half(channels), 1)
        self.value = nn.Conv2d(channels + 1, 1, 1)

    def forward(self, maps_a: Tensor, maps_b: Tensor, lam: Tensor, size: tuple[int, int]) -> Tensor:
        """Share of a by pixel, (N, 1, H, W) float32.

        Args:
            maps_a: feature maps (N, C, h, w) of the base images.
            maps_b: of their partners.
            lam: share of a that is asked for, (N,).
            size: (H, W) of the images.
        """
        plane = lam[:, None, None, None].to(maps_a.dtype).expand_as(maps_a[:, :1])
        joined_a, joined_b = torch.cat((maps_a, plane), 1), torch.cat((maps_b, 1 - plane), 1)
        found = attend(self.query(joined_a), self.query(joined_b), self.value(joined_b))
        return torch.sigmoid(-F.interpolate(found, size, mode="nearest"))


class AdaptiveMixBlock(nn.Module):
    """The MixBlock of SAMix: lam scales the feature maps, both images make query and key, and the value is
    not linear.

    With ``f = f_a (1 + r(lam))`` and ``g = f_b (1 + r(1 - lam))``, see :func:`residual_scale`: query and key
    are two projections of ``[f, g]``, the value is two layers of ``g`` with a ReLU between; upsampling is
    bilinear.

    Args:
        channels: C of the feature maps.

    Source: Li et al., "Boosting Discriminative Visual Representation Learning with Scenario-Agnostic Mixup"
    (2021). Differs from the published code: no batch norm in the value, so that a mask does not depend on the
    other pairs of the batch.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = _half(channels)
        self.query = nn.Conv2d(2 * channels, hidden, 1)
        self.key = nn.Conv2d(2 * channels, hidden, 1)
        self.value = nn.Sequential(nn.Conv2d(channels, hidden, 1), nn.ReLU(), nn.Conv2d(hidden, 1, 1))

    def forward(self, maps_a: Tensor, maps_b: Tensor, lam: Tensor, size: tuple[int, int]) -> Tensor:
        """Share of a by pixel, as :class:`MixBlock` gives it."""
        share = lam[:, None, None, None].to(maps_a.dtype)
        maps_a, maps_b = maps_a * (1 + residual_scale(share)), maps_b * (1 + residual_scale(1 - share))
        both = torch.cat((maps_a, maps_b), 1)
        found = attend(self.query(both), self.key(both), self.value(maps_b))
        return torch.sigmoid(-F.interpolate(found, size, mode="bilinear", align_corners=False))


def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """``softmax(query key^T / sqrt(D)) value`` over the places of maps, in float32 also under autocast.

    Args:
        query: (N, D, h, w).
        key: (N, D, h, w).
        value: (N, 1, h, w).

    Returns:
        (N, 1, h, w) float32: for each place of the query, the mean of the values it attends to.
    """
    with _without_autocast(query.device.type):
        query, key, flat = (maps.flatten(2).float() for maps in (query, key, value))
        scores = (query * query.shape[1] ** -0.5).transpose(1, 2) @ key
        found: Tensor = flat @ scores.softmax(2).transpose(1, 2)
        return found.view(value.shape)


def residual_scale(lam: Tensor) -> Tensor:
    """``(4/3 lam^3 - 2 lam^2 + K lam) / (K - 2/3)`` with K = 1.25: 0 at 0, 1 at 1, flatter in the middle."""
    return (4 / 3 * lam**3 - 2 * lam**2 + LAM_SCALE * lam) / (LAM_SCALE - 2 / 3)


def _without_autocast(device_type: str) -> AbstractContextManager[object]:
    # The meta device, for one, has no autocast that could be switched off.
    known = torch.amp.is_autocast_available(device_type)
    return torch.autocast(device_type, enabled=False) if known else nullcontext()


def _half(channels: int) -> int:
    return max(1, channels // 2)
