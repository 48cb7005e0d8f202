"""PuzzleMix's cost of showing each cell of a grid from one image or the other."""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

STRIP = 4
LOG_ZERO = -1e4


class GridEnergy(NamedTuple):
    """``sum_i unary[k_i, i] + sum_(i,j) weight_ij ((k_i - k_j) / (L - 1))^2`` over labels k of the cells of a
    grid.

    Attributes:
        unary: (N, L, h, w) float32, cost of each label, convex along the labels.
        right: (N, h, w - 1) float32, not negative, weight between each cell and the one to its right.
        down: (N, h - 1, w) float32, not negative, weight between each cell and the one below.
    """

    unary: Tensor
    right: Tensor
    down: Tensor


def cell_shares(saliency: Tensor, cells: int) -> Tensor:
    """Share of the saliency (N, H, W) in each cell, (N, cells, cells) float32 with sum 1; equal shares where
    it is zero."""
    pooled = F.adaptive_avg_pool2d(saliency.float()[:, None], cells)[:, 0]
    # Two divisions: the sum of tiny numbers is not lost, that of large ones does not overflow.
    pooled = pooled / pooled.amax((1, 2), keepdim=True).clamp(min=torch.finfo(pooled.dtype).tiny)
    total = pooled.sum((1, 2), keepdim=True)
    return torch.where(total > 0, pooled / total.clamp(min=1), 1 / cells**2)


def border_differences(above: Tensor, below: Tensor, strips: int) -> Tensor:
    """How different two images are at the borders between rows of cells, one shown above, the other below.

    Args:
        above: (N, C, n strips, n strips), an image in ``strips`` pixels per side of a cell.
        below: the same for the other.
        strips: pixels per side of a cell.

    Returns:
        Mean absolute difference along each border, (N, n - 1, n).
    """
    difference = (above[:, :, strips - 1 : -1 : strips] - below[:, :, strips::strips]).abs().mean(1)
    count, rows, columns = difference.shape
    return difference.reshape(count, rows, columns // strips, strips).mean(3)


def fold_borders(a: Tensor, b: Tensor, strips: int) -> tuple[Tensor, Tensor, Tensor]:
    """Cost of each border between rows of cells as a cost of its cells, and of showing different images.

    With ``XY`` the difference where X is shown above and Y below, up to a constant:
    ``V(m, m') = m (AB + AA) / 2 + (1 - m) (BA + BB) / 2 + m' (BA + AA) / 2 + (1 - m') (AB + BB) / 2 + w (m -
    m')^2``, ``w = (AB + BA - AA - BB) / 2``, exact for m and m' in {0, 1}.

    Returns:
        Cost of showing A, (N, n, n), cost of showing B, and w, (N, n - 1, n).
    """
    aa, bb = border_differences(a, a, strips), border_differences(b, b, strips)
    ab, ba = border_differences(a, b, strips), border_differences(b, a, strips)
    cost_a = F.pad((ab + aa) / 2, (0, 0, 0, 1)) + F.pad((ba + aa) / 2, (0, 0, 1, 0))
    cost_b = F.pad((ba + bb) / 2, (0, 0, 0, 1)) + F.pad((ab + bb) / 2, (0, 0, 1, 0))
    return cost_a, cost_b, (ab + ba - aa - bb) / 2


def binomial_prior(lam: Tensor, labels: int) -> Tensor:
    """``-log`` of the binomial distribution of k in 0..L-1 with mean ``lam (L - 1)``: (N, L), large where it
    is impossible."""
    k = torch.arange(labels, device=lam.device, dtype=torch.float32)
    choices = math.lgamma(labels) - torch.lgamma(k + 1) - torch.lgamma(labels - k)
    log_a, log_b = lam.log().clamp(min=LOG_ZERO), torch.log1p(-lam).clamp(min=LOG_ZERO)
    return -(choices + k * log_a[:, None] + (labels - 1 - k) * log_b[:, None])


def puzzle_energy(
    images: tuple[Tensor, Tensor],
    shares: tuple[Tensor, Tensor],
    lam: Tensor,
    *,
    labels: int,
    beta: float,
    gamma: float,
    eta: float,
) -> GridEnergy:
    """The energy whose least labels are PuzzleMix's mask: cell i shows the share ``m_i = k_i / (L - 1)`` of
    A.

    ``n^2 sum_i [m_i s_i^B + (1 - m_i) s_i^A] + eta sum_i prior(k_i) + n^2 beta' sum_(i,j) [gamma V_ij + (m_i
    - m_j)^2]``: the saliency that is lost, the prior of lam, and the borders between cells with ``beta' =
    beta / (16 n)``.

    Args:
        images: images A and B, (N, C, H, W) with pixel values in units of the range 0 to 1.
        shares: saliency of A and B in each cell, (N, n, n) with sum 1.
        lam: (N,) float32.
        labels: L, number of shares a cell can have.
        beta: weight of the borders.
        gamma: how much of it depends on the images.
        eta: weight of the prior.
    """
    cells = shares[0].shape[-1]
    strips = max(1, min(images[0].shape[2:]) // cells // STRIP)
    grid = (cells * strips, cells * strips)
    a, b = (F.adaptive_avg_pool2d(pictures.float(), grid) for pictures in images)
    smooth = beta * cells / 16
    down_a, down_b, down = fold_borders(a, b, strips)
    right_a, right_b, right = fold_borders(a.mT, b.mT, strips)
    cost_a = cells**2 * shares[1] + smooth * gamma * (down_a + right_a.mT)
    cost_b = cells**2 * shares[0] + smooth * gamma * (down_b + right_b.mT)
    m = torch.linspace(0, 1, labels, device=lam.device)[:, None, None]
    unary = cost_b[:, None] + m * (cost_a - cost_b)[:, None]
    unary = unary + eta * binomial_prior(lam, labels)[:, :, None, None]
    weights = (smooth * (1 + gamma * weight).clamp(min=0) for weight in (right.mT, down))
    return GridEnergy(unary, *weights)
