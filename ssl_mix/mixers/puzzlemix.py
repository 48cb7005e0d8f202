"""PuzzleMix: show each part of an image pair from the image that is salient there, and move salient patches
to be shown."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from ssl_mix.errors import (
    UserError,
    check_count,
    check_not_negative,
    check_number,
    check_positive,
    check_share,
)
from ssl_mix.mixers._common import check_float, composite, pixel_share, resolve_lam
from ssl_mix.mixers.cells import spread
from ssl_mix.mixers.grid_cut import solve_grid
from ssl_mix.mixers.hooks import check_net
from ssl_mix.mixers.mixer import Mixed, Mixer, Pair, given_saliency
from ssl_mix.mixers.puzzle_energy import cell_shares, puzzle_energy
from ssl_mix.mixers.saliency import gradient_saliency
from ssl_mix.mixers.transport import move_patches, transport_plan


@dataclass(frozen=True)
class PuzzleMix(Mixer):
    """Show each cell of a grid from the image that is salient there, after moving salient patches to where
    they are shown.

    1. The saliency of both images is ``sqrt(mean_c (dL / dx)^2)``: computed by ``mixer(images, labels,
       net=net)``, given as ``saliency_a`` and ``saliency_b`` to ``mix``. What is negative or not finite
       counts as 0.
    2. The mask m, with values ``k / (labels - 1)`` on an n x n grid, has the least energy: saliency lost, a
       binomial prior with mean lam, and borders (:func:`ssl_mix.mixers.puzzle_energy.puzzle_energy`). One
       ``lam ~ Beta(alpha, alpha)`` per sample.
    3. Patches of A move to where m > 0, patches of B to where m < 1
    (:func:`ssl_mix.mixers.transport.transport_plan`). 4. ``m T_a(A) + (1 - m) T_b(B)``, and the returned lam
    is the mean of m over the pixels.

    Everything is done for the whole batch at once, on the device of the images.

    Args:
        alpha: of the Beta distribution.
        block_numbers: cells along a side, one of these for each batch; those above the side of the images are
            left out.
        labels: number of values m can take; 2 is cut and paste.
        beta: weight of the borders.
        gamma: how much of it depends on the images, in [0, 1].
        eta: weight of the prior.
        transport: whether patches move.
        distance_weight: price of moving a patch over the squared side of the image, in shares of the
            saliency.
        patch_size: cells are cut into patches of at most so many pixels, which move on their own; None moves
            whole cells.
        pixel_std: what pixel values from 0 to 1 were divided by; 1 for images that are not normalized.

    Raises:
        ValueError: an argument is out of range, neither saliency nor network is given, images are integers,
            or shapes differ.

    Source: Kim et al., "Puzzle Mix: Exploiting Saliency and Local Statistics for Optimal Mixup" (ICML 2020).
    Differs from the published code: one lam per sample; the mask by a batched solver instead of alpha-beta
    swaps on the CPU, one sample at a time; two patches never compete for a cell twice, and no cell is left
    black; impossible masks for lam 0 or 1 stay impossible; the gradients of the parameters are left alone.

    Examples:
        >>> a, b = torch.ones(1, 3, 8, 8), torch.zeros(1, 3, 8, 8)
        >>> left = torch.arange(8).expand(1, 8, 8) < 4  # a is salient on the left, b on the right
        >>> mixer = PuzzleMix(block_numbers=(2,), transport=False)
        >>> mixed, lam = mixer.mix(a, b, lam=0.5, saliency_a=left.float(), saliency_b=1 - left.float())
        >>> mixed[0, 0, 0], lam
        (tensor([1., 1., 1., 1., 0., 0., 0., 0.]), tensor([0.5000]))
    """

    alpha: float = 1.0
    block_numbers: tuple[int, ...] = (2, 4, 8, 16)
    labels: int = 3
    beta: float = 1.2
    gamma: float = 0.5
    eta: float = 0.2
    transport: bool = True
    distance_weight: float = 0.8
    patch_size: int | None = None
    pixel_std: float = 0.25

    needs: ClassVar[frozenset[str]] = frozenset({"net", "saliency"})

    def __post_init__(self) -> None:
        for name in ("alpha", "pixel_std"):
            check_positive(name, getattr(self, name))
        for name in ("beta", "eta", "distance_weight"):
            check_not_negative(name, getattr(self, name))
        check_share("gamma", self.gamma)
        check_number("labels", self.labels)
        if not (isinstance(self.block_numbers, (tuple, list)) and self.block_numbers):
            raise UserError(
                f"block_numbers must be numbers of blocks such as (2, 4), got {self.block_numbers!r}"
            )
        for name, count in (("block_numbers", min(self.block_numbers)), ("labels", self.labels - 1)):
            check_count(name, count)
        if self.patch_size is not None:
            check_count("patch_size", self.patch_size)

    def saliency(self, images: Tensor, labels: Tensor, net: nn.Module | None) -> Tensor:
        """Gradient saliency by the network."""
        check_float(images, self)
        return gradient_saliency(check_net(net, self), images, labels)

    def blend(self, pair: Pair, lam: Tensor | float | None, generator: torch.Generator | None) -> Mixed:
        """Solve the puzzle, move the patches, blend."""
        images = (pair.images_a, pair.images_b)
        check_float(images[0], self)
        lam = resolve_lam(lam, self.alpha, images[0], generator)
        saliency = given_saliency(pair, self)
        blocks = self._draw_blocks(images[0], generator)
        with torch.no_grad():
            shares = torch.stack([cell_shares(given, blocks) for given in saliency])
            cells = self._solve(images, shares, lam)
            if self.transport:
                patches = self._patches(images[0], blocks)
                if patches > blocks:
                    shares = torch.stack([cell_shares(given, patches) for given in saliency])
                plans = self._plans(shares, cells)
        if self.transport:
            images = (move_patches(images[0], plans[0]), move_patches(images[1], plans[1]))
        mask = spread(cells, *images[0].shape[2:])
        return Mixed(composite(*images, mask), pixel_share(mask), mask)

    def _draw_blocks(self, images: Tensor, generator: torch.Generator | None) -> int:
        side = min(images.shape[2:])
        fitting = [number for number in self.block_numbers if number <= side] or [side]
        if len(fitting) == 1:
            return fitting[0]
        source = generator.device if generator is not None else "cpu"
        return fitting[int(torch.randint(len(fitting), (), generator=generator, device=source))]

    def _solve(self, images: tuple[Tensor, Tensor], shares: Tensor, lam: Tensor) -> Tensor:
        """The mask by cell, (N, n, n) float32, from the shares (2, N, n, n) of the saliency of both
        images."""
        # Where the images are not finite there is no border to follow; that they are not, the result shows.
        first, second = (given.nan_to_num(0.0, 0.0, 0.0) for given in images)
        energy = puzzle_energy(
            (first, second),
            (shares[0], shares[1]),
            lam,
            labels=self.labels,
            beta=self.beta,
            gamma=self.gamma * self.pixel_std,  # It multiplies differences of pixels, and nothing else does.
            eta=self.eta,
        )
        return solve_grid(energy) / (self.labels - 1)

    def _patches(self, images: Tensor, blocks: int) -> int:
        """Patches along a side: a multiple of the blocks."""
        size = self.patch_size or max(images.shape[2:])
        parts = -(-max(images.shape[2:]) // (blocks * size))
        return blocks * min(parts, max(1, min(images.shape[2:]) // blocks))

    def _plans(self, shares: Tensor, cells: Tensor) -> tuple[Tensor, Tensor]:
        """Plans of both images, solved as one batch, from the shares (2, N, T, T) of their saliency in each
        patch."""
        mask = spread(cells, *shares.shape[2:])[:, 0]
        plan = transport_plan(shares.flatten(0, 1), torch.cat((mask > 0, mask < 1)), self.distance_weight)
        plan_a, plan_b = plan.chunk(2)
        return plan_a, plan_b
