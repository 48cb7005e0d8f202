"""AlignMix: blend feature maps whose places have been matched."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ssl_mix.errors import check_count, check_positive
from ssl_mix.mixers._common import composite, resolve_lam, sample_uniform
from ssl_mix.mixers.hooks import hidden_layer_names
from ssl_mix.mixers.layer_mixer import INPUT, Layer, LayerMixer, channels_first


def sinkhorn_plan(a: Tensor, b: Tensor, epsilon: float, rounds: int) -> Tensor:
    """The transport plan between two sets of P vectors that costs least, smoothed by an entropy, times P.

    ``min <P, C> - epsilon H(P)`` with ``C_ij = |a_i - b_j|^2`` and equal weights, by ``rounds`` of Sinkhorn's
    iterations in logarithms. The last one makes the columns exact.

    Args:
        a: (N, D, P).
        b: (N, D, P).
        epsilon: weight of the entropy.
        rounds: number of iterations.

    Returns:
        (N, P, P) float32 or better; columns have the sum 1, and rows nearly.
    """
    cost = torch.cdist(a.transpose(1, 2), b.transpose(1, 2), compute_mode="donot_use_mm_for_euclid_dist")
    kernel = cost.square() / -epsilon
    kernel = kernel - kernel.amax((1, 2), keepdim=True)
    rows, columns = (torch.zeros_like(kernel[:, :, 0]) for _ in range(2))
    for _ in range(rounds):
        rows = -torch.logsumexp(kernel + columns[:, None], 2)
        columns = -torch.logsumexp(kernel + rows[:, :, None], 1)
    return (kernel + rows[:, :, None] + columns[:, None]).exp()


@dataclass(frozen=True)
class AlignMix(LayerMixer):
    """Blend the last feature maps of two images after matching their places; or blend the images.

    With the plan R that :func:`sinkhorn_plan` finds between the places of both maps A and A', each sample
    blends, by a coin of its own, ``lam A + (1 - lam) A' R^T`` (the partner's features laid out as the image)
    or ``lam A R + (1 - lam) A'`` (the image's laid out as its partner), ``lam ~ Beta(alpha, alpha)``. No
    gradient passes through R. At "input", drawn as often, images are blended as they are. Use it as
    :class:`ManifoldMix`.

    Args:
        alpha: of the Beta distribution.
        layers: as of :class:`ManifoldMix`; None for the images and the last stage.
        epsilon: weight of the plan's entropy.
        rounds: of Sinkhorn's iterations.

    Raises:
        ValueError: alpha or epsilon is not above 0, rounds is no whole number above 0; or as
            :class:`ManifoldMix`.

    Source: Venkataramanan et al., "AlignMixup: Improving Representations by Interpolating Aligned Features"
    (CVPR 2022), without its autoencoder, as in its code. Differs from the code: lam and coin per sample; a
    fixed number of rounds, where that looks in each one whether it may stop, which it does early: its rows
    are then as far from the sum 1 as with 20 rounds.

    Examples:
        >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.Flatten(), torch.nn.Linear(16, 5))
        >>> logits, target = AlignMix(layers=("0",))(torch.rand(2, 3, 2, 2), torch.tensor([0, 1]), net=net)
        >>> logits.shape, target.lam.shape
        (torch.Size([2, 5]), torch.Size([2]))
    """

    alpha: float = 2.0
    layers: Sequence[str | int] | None = None
    epsilon: float = 0.1
    rounds: int = 20

    def __post_init__(self) -> None:
        check_positive("alpha", self.alpha)
        check_positive("epsilon", self.epsilon)
        check_count("rounds", self.rounds)
        self.check_layers()

    def usual_layers(self, net: nn.Module) -> Sequence[str]:
        """The images and the last stage."""
        return (INPUT, hidden_layer_names(net)[-1])

    def draw(self, lam: Tensor | float | None, images: Tensor, generator: torch.Generator | None) -> Tensor:
        """One share per sample."""
        return resolve_lam(lam, self.alpha, images, generator)

    def put(
        self, layer: Layer, a: Tensor, b: Tensor, lam: Tensor, generator: torch.Generator | None
    ) -> tuple[Tensor, Tensor]:
        """Match the places and blend; images are blended as they are."""
        if layer.name == INPUT or a.ndim == 2:
            return composite(a, b, lam.view(-1, *[1] * (a.ndim - 1))), lam
        (maps, axis), (others, _) = channels_first(a, layer), channels_first(b, layer)
        precise = torch.promote_types(a.dtype, torch.float32)
        own, other = (values.flatten(2).to(precise) for values in (maps, others))
        with torch.autocast(a.device.type, enabled=False):
            plan = sinkhorn_plan(own.detach(), other.detach(), self.epsilon, self.rounds)
            as_own, as_other = other @ plan.transpose(1, 2), own @ plan
        coin = (sample_uniform((len(a),), generator, a.device) < 0.5)[:, None, None]
        share = lam[:, None, None].to(precise)
        mixed = torch.where(coin, torch.lerp(as_own, own, share), torch.lerp(other, as_other, share))
        return mixed.view(maps.shape).to(a.dtype).movedim(1, axis), lam
