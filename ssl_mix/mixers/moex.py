"""MoEx: give the features of one image the moments of another's."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ssl_mix.errors import check_share
from ssl_mix.mixers._common import given_lam, sample_uniform
from ssl_mix.mixers.hooks import hidden_layer_names
from ssl_mix.mixers.layer_mixer import Layer, LayerMixer, channels_first

EPSILON = 1e-5


def exchange_moments(a: Tensor, b: Tensor) -> Tensor:
    """``(a - mean_a) / std_a * std_b + mean_b``, the moments over the channels (N, C, ...) of each place.

    Positional normalization: ``std^2`` is the unbiased variance plus 1e-5, a single channel has 1e-5. In
    float32 or better, rounded once.
    """
    precise = torch.promote_types(a.dtype, torch.float32)
    content, style = a.to(precise), b.to(precise)
    (mean_a, std_a), (mean_b, std_b) = (_moments(values) for values in (content, style))
    scale = std_b / std_a
    return torch.addcmul(mean_b - mean_a * scale, content, scale).to(a.dtype)


def _moments(values: Tensor) -> tuple[Tensor, Tensor]:
    correction = min(1, values.shape[1] - 1)
    variance, mean = torch.var_mean(values, dim=1, keepdim=True, correction=correction)
    return mean, (variance + EPSILON).sqrt()


@dataclass(frozen=True)
class MoEx(LayerMixer):
    """Normalize the features of an image at each place, and give them mean and deviation of its partner's.

    ``h <- (h - mean) / std * std[partner] + mean[partner]``, moments over the channels of one place, in each
    image with chance ``prob``. Label weight of the image itself: ``weight``, the same for all, or 1 where
    nothing was exchanged; a given lam is the weight, and everything is exchanged. Use it as
    :class:`ManifoldMix`; tokens (N, T, D) have their D channels exchanged.

    Args:
        weight: label weight of the image whose features are normalized, lambda in the paper.
        prob: chance of an image's moments to be exchanged.
        layers: as of :class:`ManifoldMix`; None for the first stage.

    Raises:
        ValueError: weight or prob lie outside [0, 1]; or as :class:`ManifoldMix`.

    Source: Li et al., "On Feature Normalization and Data Augmentation" (CVPR 2021). Differs from the
    published code: which images are exchanged is drawn for each, not for the batch; no special networks.

    Examples:
        >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 1), torch.nn.Flatten(), torch.nn.Linear(32, 5))
        >>> images, labels = torch.rand(2, 3, 2, 2), torch.tensor([0, 1])
        >>> logits, target = MoEx(layers=("0",))(images, labels, net=net)
        >>> target.lam
        tensor([0.9000, 0.9000])
    """

    weight: float = 0.9
    prob: float = 1.0
    layers: Sequence[str | int] | None = None

    def __post_init__(self) -> None:
        check_share("weight", self.weight)
        check_share("prob", self.prob)
        self.check_layers()

    def usual_layers(self, net: nn.Module) -> Sequence[str]:
        """The first stage."""
        return hidden_layer_names(net)[:1]

    def draw(self, lam: Tensor | float | None, images: Tensor, generator: torch.Generator | None) -> Tensor:
        """The label weight, 1 for images that stay as they are."""
        if lam is not None:
            return given_lam(lam, images)
        weight = given_lam(self.weight, images)
        if self.prob == 1:
            return weight
        exchanged = sample_uniform((len(images),), generator, images.device) < self.prob
        return torch.where(exchanged, weight, 1.0)

    def put(
        self, layer: Layer, a: Tensor, b: Tensor, lam: Tensor, generator: torch.Generator | None
    ) -> tuple[Tensor, Tensor]:
        """Exchange the moments where lam is below 1."""
        (own, axis), (other, _) = channels_first(a, layer), channels_first(b, layer)
        exchanged = exchange_moments(own, other).movedim(1, axis)
        return torch.where((lam < 1).view(-1, *[1] * (a.ndim - 1)), exchanged, a), lam
