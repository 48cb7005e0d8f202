"""Co-Mixup: make a batch of mixed images together, of many images each, salient and unlike each other."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssl_mix.errors import check_count, check_not_negative, check_positive, check_share
from ssl_mix.mixers._common import (
    check_float,
    check_labels,
    check_pair,
    composite,
    in_channels_last,
    pixel_share,
    resolve_lam,
    usable_saliency,
)
from ssl_mix.mixers.cells import cell_of_pixel, spread
from ssl_mix.mixers.hooks import check_net
from ssl_mix.mixers.joint_sources import Sources, choose_sources
from ssl_mix.mixers.mixer import Mixed, MixedBatch, Mixer, Pair, given_saliency
from ssl_mix.mixers.puzzle_energy import LOG_ZERO, cell_shares
from ssl_mix.mixers.saliency import gradient_saliency
from ssl_mix.randomness import sample_dirichlet
from ssl_mix.types import JointTarget


class Joint(NamedTuple):
    """Images that were mixed together.

    Attributes:
        images: (N, C, H, W).
        sources: positions in the batch of the images that each may show, (N, K) int64.
        shares: share of the pixels of each of them, (N, K) float32; rows sum to 1.
    """

    images: Tensor
    sources: Tensor
    shares: Tensor


@dataclass(frozen=True)
class CoMixup(Mixer):
    """Make of every ``part`` images of a batch as many mixed ones, each of the salient places of any of them.

    All cells of a grid in all mixed images get their images together, by
    :func:`ssl_mix.mixers.joint_sources.choose_sources`: ``F = sum_jk <c_k, z_jk> + borders + diversity`` with
    ``c = -s - (eta / n) log lam``, s the share of an image's saliency ``sqrt(mean_c (dL / dx)^2)`` in a cell,
    n cells, and ``lam ~ Dirichlet(alpha)`` over the images of a part. Labels are weighed by pixels: the
    target of a batch is a :class:`ssl_mix.types.JointTarget`, its ``partner`` is (N, K), its mask None.

    ``mix`` of two batches makes each image of its two alone, with ``lam`` and ``1 - lam`` in the place of the
    Dirichlet's, where nothing has to be unlike anything.

    Args:
        alpha: of the Dirichlet distribution.
        blocks: cells along a side.
        part: images that are mixed with each other; what is left of a batch makes a smaller part.
        beta: weight of the borders between cells that show different images.
        gamma: weight of the diversity.
        eta: weight of lam.
        threshold: tau, how much of other mixed images may show an image before it costs to show it.
        compatibility: omega, how much it counts there that the salient places of two images lie apart.
        rounds: passes over the mixed images.

    Raises:
        ValueError: an argument is out of range, neither saliency nor network is given, images are integers,
            or shapes differ.

    Source: Kim et al., "Co-Mixup: Saliency Guided Joint Mixup with Supermodular Diversity" (ICLR 2021).
    Differs from the published code: where :func:`ssl_mix.mixers.joint_sources.choose_sources` says; all parts
    at once, on the device of the images; salient places are cells, there windows of 8 pixels. Left out: the
    loss of the plain images, which that code adds to that of the mixed ones.

    Examples:
        >>> from ssl_mix.models import build_model
        >>> mixer, net = CoMixup(), build_model("small-cnn", 10)
        >>> images, target = mixer(torch.rand(6, 3, 32, 32), torch.arange(6), net=net)
        >>> images.shape, target.labels.shape
        (torch.Size([6, 3, 32, 32]), torch.Size([6, 6]))
    """

    alpha: float = 2.0
    blocks: int = 4
    part: int = 20
    beta: float = 0.32
    gamma: float = 1.0
    eta: float = 0.05
    threshold: float = 0.83
    compatibility: float = 0.001
    rounds: int = 4

    needs: ClassVar[frozenset[str]] = frozenset({"net", "saliency"})
    joint: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_positive("alpha", self.alpha)
        for name in ("blocks", "part", "rounds"):
            check_count(name, getattr(self, name))
        for name in ("beta", "gamma", "eta", "threshold"):
            check_not_negative(name, getattr(self, name))
        check_share("compatibility", self.compatibility)

    def saliency(self, images: Tensor, labels: Tensor, net: nn.Module | None) -> Tensor:
        """Gradient saliency by the network."""
        check_float(images, self)
        return gradient_saliency(check_net(net, self), images, labels)

    def blend(self, pair: Pair, lam: Tensor | float | None, generator: torch.Generator | None) -> Mixed:
        """Make each image of its own two."""
        images = pair.images_a
        check_float(images, self)
        lam = resolve_lam(lam, self.alpha, images, generator)
        saliency = torch.stack(given_saliency(pair, self), 1)
        log_lam = torch.stack((lam.log(), torch.log1p(-lam)), 1)
        sources = self._choose(self._cells(saliency), log_lam, 1, generator)
        mask = spread(sources.shares(2)[:, 0, 0], *images.shape[2:])
        return Mixed(composite(images, pair.images_b, mask), pixel_share(mask), mask)

    def __call__(  # type: ignore[override]
        self,
        images: Tensor,
        labels: Tensor,
        *,
        net: nn.Module | None = None,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, JointTarget]:
        """Mix a batch; a :class:`ssl_mix.types.JointTarget` in the place of a pair's target."""
        images, target, *_ = self.mix_batch(images, labels, net=net, generator=generator)
        assert isinstance(target, JointTarget)
        return images, target

    def mix_batch(
        self,
        images: Tensor,
        labels: Tensor,
        *,
        net: nn.Module | None = None,
        generator: torch.Generator | None = None,
    ) -> MixedBatch:
        """The same as calling the mixer, with the positions of the images that may be shown, (N, K)."""
        check_pair(images, images)
        check_labels(images, labels)
        labels = labels.to(images.device, non_blocking=True)
        mixed, sources, shares = self.jointly(images, self.saliency(images, labels, net), generator)
        shown = labels.index_select(0, sources.flatten()).view(*sources.shape, *labels.shape[1:])
        if labels.ndim == 1:  # a place that an image does not use repeats a class that it shows
            shown = shown.where(shares > 0, shown.gather(1, shares.argmax(1, keepdim=True)))
        return MixedBatch(mixed, JointTarget(shown, shares), sources, None)

    def jointly(self, images: Tensor, saliency: Tensor, generator: torch.Generator | None = None) -> Joint:
        """Mix a batch (N, C, H, W) by the importance (N, H, W) of its pixels."""
        count = len(images)
        whole = count - count % self.part
        groups = torch.arange(whole).view(-1, self.part), torch.arange(whole, count)[None]
        made = [
            self._mix_parts(images, saliency, group.to(images.device, non_blocking=True), generator)
            for group in groups
            if group.numel()
        ]
        width = made[0].shares.shape[1]  # the rest is a smaller part
        mixed, sources, shares = zip(*made, strict=True)
        joined = torch.cat(mixed)
        if in_channels_last(images):
            joined = joined.contiguous(memory_format=torch.channels_last)
        return Joint(
            joined,
            torch.cat([F.pad(given, (0, width - given.shape[1])) for given in sources]),
            torch.cat([F.pad(given, (0, width - given.shape[1])) for given in shares]),
        )

    def _mix_parts(
        self, images: Tensor, saliency: Tensor, group: Tensor, generator: torch.Generator | None
    ) -> Joint:
        """Mix the images at the positions (P, m), those of each row with each other."""
        parts, count = group.shape
        member = images.index_select(0, group.flatten()).view(parts, count, *images.shape[1:])
        given = usable_saliency(saliency, images.device).index_select(0, group.flatten())
        log_lam = sample_dirichlet((parts, count), self.alpha, generator, images.device).log()
        cells = self._cells(given.view(parts, count, *given.shape[1:]))
        sources = self._choose(cells, log_lam, count, generator)
        shares = _pixel_shares(sources.shares(count), *images.shape[2:])
        first, second = (_for_pixels(shown, *images.shape[2:])[:, :, None] for shown in sources)
        one, other = (member.take_along_dim(shown, 1).flatten(0, 1) for shown in (first, second))
        mixed = composite(one, other, (1 + (first == second).flatten(0, 1).float()) / 2)
        return Joint(mixed, group.repeat_interleave(count, 0), shares.flatten(0, 1))

    def _cells(self, saliency: Tensor) -> Tensor:
        """Shares (P, m, n, n) of the saliency (P, m, H, W) in each cell."""
        blocks = min(self.blocks, *saliency.shape[2:])
        return cell_shares(saliency.flatten(0, 1), blocks).view(*saliency.shape[:2], blocks, blocks)

    @torch.no_grad()
    def _choose(
        self, cells: Tensor, log_lam: Tensor, outputs: int, generator: torch.Generator | None
    ) -> Sources:
        prior = self.eta / cells[0, 0].numel() * log_lam.clamp(min=LOG_ZERO)
        same = torch.eye(cells.shape[1], device=cells.device)
        return choose_sources(
            -cells - prior[:, :, None, None],
            torch.lerp(same, peak_distances(cells), self.compatibility),
            outputs,
            beta=self.beta,
            gamma=self.gamma,
            threshold=self.threshold,
            rounds=self.rounds,
            generator=generator,
        )


def peak_distances(cells: Tensor) -> Tensor:
    """City-block distances (P, m, m) between the most salient cells of images (P, m, n, n), with a sum of m;
    zero where all are the same."""
    count, side = cells.shape[1], cells.shape[3]
    peak = cells.flatten(2).argmax(2)
    place = torch.stack((peak // side, peak % side), 2).float()
    distance = (place[:, :, None] - place[:, None]).abs().sum(3)
    return distance * (count / distance.sum((1, 2), keepdim=True).clamp(min=1))


def _for_pixels(labels: Tensor, height: int, width: int) -> Tensor:
    """Labels (P, J, n, n) of cells for every pixel, (P, J, height, width)."""
    return spread(labels.flatten(0, 1), height, width).view(*labels.shape[:2], height, width)


def _pixel_shares(shares: Tensor, height: int, width: int) -> Tensor:
    """Shares (P, J, m, n, n) of cells as shares of pixels, (P, J, m)."""
    rows, columns = (
        F.one_hot(cell_of_pixel(side, cells, shares.device), cells).float().mean(0)
        for side, cells in ((height, shares.shape[3]), (width, shares.shape[4]))
    )
    return torch.einsum("pjmhw,h,w->pjm", shares, rows, columns).clamp(max=1)
