"""SmoothMix: let one image fade into the other from a center outwards."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ssl_mix.mixers._common import (
    check_float,
    check_limits,
    composite,
    given_lam,
    pixel_centers,
    sample_uniform,
)
from ssl_mix.mixers.mixer import Mixed, Mixer, Pair

SIGMAS = (1e-6, 1e4)
SEARCH_STEPS = 32


def bell(center: Tensor, sigma: Tensor, side: int) -> Tensor:
    """``exp(-(x - center)^2 / (2 sigma^2))`` at the pixel centers of a line of length 1: (N, side) from two
    (N,)."""
    distance = pixel_centers(side, center.device) - center[:, None]
    return torch.exp(-0.5 * (distance / sigma[:, None]) ** 2)


def sigma_of(share: Tensor, centers: Tensor, height: int, width: int) -> Tensor:
    """The sigma whose bell has the given mean, (N,), by bisection of its logarithm: the mean grows with
    sigma.

    Args:
        share: (N,) in [0, 1].
        centers: (N, 2), row and column as a share of the side.
        height: of the images, in pixels.
        width: of the images, in pixels.
    """
    low, high = (torch.full_like(share, math.log(sigma)) for sigma in SIGMAS)
    for _ in range(SEARCH_STEPS):
        middle = (low + high) / 2
        means = [
            bell(centers[:, axis], middle.exp(), side).mean(1) for axis, side in enumerate((height, width))
        ]
        small = means[0] * means[1] <= share
        low, high = torch.where(small, middle, low), torch.where(small, high, middle)
    return low.exp()


@dataclass(frozen=True)
class SmoothMix(Mixer):
    """Show the base image at a random place, and its partner the further away from there.

    ``G a + (1 - G) b`` with ``G = exp(-(dy^2 + dx^2) / (2 sigma^2))``, distances and ``sigma ~ U(low, high)``
    in shares of the sides, and a center uniform over the image; one of each per sample. ``lam = mean(G)``.
    Where lam is given, sigma is the one that has this mean.

    Args:
        sigma: smallest and largest sigma, as shares of the sides, in [1e-6, 1e4].

    Raises:
        ValueError: sigma is no such range, images are integers, or shapes differ.

    Source: Lee et al., "SmoothMix: a Simple Yet Effective Data Augmentation to Train Robust Classifiers"
    (CVPR workshops 2020). Differs from OpenMixup, which labels the image with ``lam = mean(G)`` but shows ``1
    - G`` of it; a bell per sample.

    Examples:
        >>> a, b = torch.ones(1, 3, 8, 8), torch.zeros(1, 3, 8, 8)
        >>> mixed, lam = SmoothMix().mix(a, b, lam=0.75)
        >>> mixed.mean(), lam
        (tensor(0.7500), tensor([0.7500]))
    """

    sigma: tuple[float, float] = (0.25, 0.5)

    def __post_init__(self) -> None:
        check_limits("sigma", self.sigma, *SIGMAS)

    def blend(self, pair: Pair, lam: Tensor | float | None, generator: torch.Generator | None) -> Mixed:
        """Fade from ``images_a`` at the center to ``images_b``."""
        images = pair.images_a
        check_float(images, self)
        height, width = images.shape[2:]
        draws = sample_uniform((len(images), 3), generator, images.device)
        centers, (low, high) = draws[:, :2], self.sigma
        if lam is None:
            sigma = low + (high - low) * draws[:, 2]
        else:
            sigma = sigma_of(given_lam(lam, images), centers, height, width)
        rows, columns = bell(centers[:, 0], sigma, height), bell(centers[:, 1], sigma, width)
        mask = rows[:, None, :, None] * columns[:, None, None]
        return Mixed(
            composite(images, pair.images_b, mask, own_b=pair.own_b), rows.mean(1) * columns.mean(1), mask
        )
