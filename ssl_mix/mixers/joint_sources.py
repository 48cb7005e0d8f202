"""Co-Mixup's problem: which images show in which cells of a whole batch of mixed images.

With ``z_jk`` the shares of the m images in cell k of mixed image j, of n cells, ``o_j`` their mean over the
cells, c the costs (P, m, h, w) of showing an image in a cell, and A (P, m, m) how badly two images go into
different mixed ones,

``F = sum_jk <c_k, z_jk> + beta / (2 n) sum |z_jk - z_jk'|^2 + gamma n sum_j <o_j, T(u_j)>``,

over neighboring cells k, k', with ``u_j = A sum of o_j' over all others`` and ``T(u) = u`` where u is above a
threshold, else 0. A cell shows one image, or two by halves.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_mix.mixers._common import sample_uniform

SWEEPS = 6
HALVES = 5e-4  # what two images in a cell are favored by


class Sources(NamedTuple):
    """The two images that a cell shows by halves, twice the same where it shows one.

    Attributes:
        first: (..., h, w) int64 in 0..m-1.
        second: the same.
    """

    first: Tensor
    second: Tensor

    def shares(self, count: int) -> Tensor:
        """z, the share of each of ``count`` images in each cell: (..., count, h, w) float32."""
        shown = F.one_hot(self.first, count) + F.one_hot(self.second, count)
        return shown.movedim(-1, -3) / 2


def around(values: Tensor) -> Tensor:
    """Sum of the up to four neighbors of each cell of (..., h, w)."""
    wide = F.pad(values, (1, 1, 1, 1))
    rows = wide[..., :-2, 1:-1] + wide[..., 2:, 1:-1]
    return rows + wide[..., 1:-1, :-2] + wide[..., 1:-1, 2:]


def border_cost(shares: Tensor) -> Tensor:
    """``1 / 2 sum |z_k - z_k'|^2`` over neighboring cells of (..., m, h, w): (...)."""
    down, right = (shares.diff(dim=axis).square().sum((-3, -2, -1)) for axis in (-2, -1))
    return (down + right) / 2


def joint_cost(
    cost: Tensor, alike: Tensor, sources: Sources, *, beta: float, gamma: float, threshold: float
) -> Tensor:
    """F of sources (P, J, h, w), see the top of this file: (P,) float32."""
    shares = sources.shares(cost.shape[1])
    cells = cost[0, 0].numel()
    shown = shares.mean((3, 4))
    used = (shown.sum(1, keepdim=True) - shown) @ alike
    crowd = gamma * cells * (shown * used * (used > threshold)).sum((1, 2))
    return (cost[:, None] * shares).sum((1, 2, 3, 4)) + beta / cells * border_cost(shares).sum(1) + crowd


def choose_sources(
    cost: Tensor,
    alike: Tensor,
    outputs: int,
    *,
    beta: float,
    gamma: float,
    threshold: float,
    rounds: int,
    generator: torch.Generator | None,
) -> Sources:
    """Sources (P, J, h, w) of ``outputs`` mixed images with a small F, for P problems at once.

    From random sources on, the mixed images are improved one after the other, ``rounds`` times: the others
    being kept, ``2 gamma T(u_j)`` is what each image costs in a cell, and what remains is a problem of one
    mixed image, see :func:`least_sources`. The best of the rounds is returned. In the first round cells show
    one image.

    Args:
        cost: c, (P, m, h, w) float32.
        alike: A, (P, m, m) float32, symmetric.
        outputs: J.
        beta: weight of the borders.
        gamma: weight of the diversity.
        threshold: share of a mixed image up to which others may show an image before it costs to show it.
        rounds: passes over the mixed images.
        generator: of the first sources.

    Source: Kim et al. (ICLR 2021), Algorithm 1; F is that of its published code with the threshold. Differs:
    a descent from several starts in the place of graph cuts; any two images may share a cell, there the two
    or three that the mixed image has; the best round is kept, there the last; no extra cost tells mixed
    images of the same sources apart.
    """
    problems, count, height, width = cost.shape
    drawn = sample_uniform((problems, outputs, height, width), generator, cost.device)
    first = (drawn * count).long().clamp(max=count - 1)
    chosen = [Sources(labels, labels) for labels in first.unbind(1)]
    shown = Sources(first, first).shares(count).mean((3, 4))
    options = {"beta": beta, "gamma": gamma, "threshold": threshold}
    costs, found = [], []
    for turn in range(rounds):
        for j in range(outputs):
            used = torch.einsum("pab,pb->pa", alike, shown.sum(1) - shown[:, j])
            price = cost + (2 * gamma * used * (used > threshold))[:, :, None, None]
            chosen[j] = least_sources(price, chosen[j], beta / (height * width), halves=turn > 0)
            shown[:, j] = chosen[j].shares(count).mean((2, 3))
        found.append(Sources(*(torch.stack(labels, 1) for labels in zip(*chosen, strict=True))))
        costs.append(joint_cost(cost, alike, found[-1], **options))
    return _least(costs, found)


def least_sources(cost: Tensor, current: Sources, border: float, *, halves: bool) -> Sources:
    """Sources (P, h, w) with a small ``sum_k <cost_k, z_k> + border / 2 sum |z_k - z_k'|^2``.

    Iterated conditional modes from four starts, the current sources among them, of which the best is
    returned: half of the cells at a time, as on a chessboard, take what is best beside their neighbors.

    Args:
        cost: (P, m, h, w) float32.
        current: (P, h, w).
        border: weight of the borders.
        halves: whether two images may share a cell.
    """
    own, near = cost.argmin(1), (cost + around(cost)).argmin(1)
    even = cost.sum((2, 3)).argmin(1)[:, None, None].expand_as(own)
    starts = [current, *(Sources(labels, labels) for labels in (own, near, even))]
    sources = Sources(*(torch.cat(labels) for labels in zip(*starts, strict=True)))
    costs = cost.repeat(len(starts), 1, 1, 1)
    sources = _descend(costs, sources, border, halves=halves)
    shares, both = sources.shares(cost.shape[1]), sources.first != sources.second
    value = (costs * shares).sum((1, 2, 3)) + border * border_cost(shares) - HALVES * both.sum((1, 2))
    ends = zip(*(labels.chunk(len(starts)) for labels in sources), strict=True)
    return _least(value.chunk(len(starts)), [Sources(*end) for end in ends])


def _descend(cost: Tensor, sources: Sources, border: float, *, halves: bool) -> Sources:
    """What one image costs in a cell is ``cost - border sum of z around``; that of two is the mean of theirs,
    less ``border / 4`` for each neighbor."""
    count, height, width = cost.shape[1:]
    degree = around(cost.new_ones(height, width))
    row, column = (torch.arange(side, device=cost.device) for side in (height, width))
    odd = (row[:, None] + column) % 2 == 1
    first, second = sources
    for turn in range(2 * SWEEPS):
        price = cost - border * around(Sources(first, second).shares(count))
        least, image = price.topk(min(2, count), dim=1, largest=False)
        gain = (least[:, 0] - least[:, -1]) / 2 + border * degree / 4 + HALVES
        other = torch.where(gain > 0, image[:, -1], image[:, 0]) if halves else image[:, 0]
        now = odd if turn % 2 else ~odd
        first, second = torch.where(now, image[:, 0], first), torch.where(now, other, second)
    return Sources(first, second)


def _least(costs: Sequence[Tensor], found: list[Sources]) -> Sources:
    """Of several sources (P, ...) with costs (P,) each, those that cost least, for every problem."""
    best = torch.stack(tuple(costs)).argmin(0)
    problem = torch.arange(len(best), device=best.device)
    return Sources(*(torch.stack(labels)[best, problem] for labels in zip(*found, strict=True)))
