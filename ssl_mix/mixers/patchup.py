"""PatchUp: change blocks of the features of one image for another's, or blend them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_mix.errors import UserError, check_count, check_positive, check_share
from ssl_mix.mixers._common import given_lam, sample_uniform
from ssl_mix.mixers.layer_mixer import Layer, LayerMixer, channels_first
from ssl_mix.randomness import sample_beta


def block_mask(shape: torch.Size, gamma: float, size: int, draws: Tensor) -> Tensor:
    """1 where a map (N, C, h, w) is changed: blocks around places drawn with a chance that makes gamma of it
    ``gamma h w / (size^2 (h - size + 1) (w - size + 1))``, clipped at the borders.

    Args:
        shape: of the maps.
        gamma: share of the places that would be changed if blocks neither met nor left the map.
        size: side of a block, made the largest odd number that fits where it exceeds a side.
        draws: from U[0, 1), of that shape.

    Returns:
        Float32, of that shape.
    """
    height, width = shape[2:]
    fits = min(height, width)
    size = min(size, fits - 1 + fits % 2)
    places = size**2 * (height - size + 1) * (width - size + 1)
    return F.max_pool2d((draws < gamma * height * width / places).float(), size, 1, size // 2)


@dataclass(frozen=True)
class HardPatchUp(LayerMixer):
    """Put the partner's features into random blocks of each channel of a hidden layer.

    Blocks are drawn for each image and channel, as DropBlock draws them; the label weight of the image
    itself is the share of the features that are unchanged. It is known when the layer has run: NaN before.
    Use it as :class:`ManifoldMix`. A given lam is the share of the image itself within the blocks, which is 0
    otherwise.

    Args:
        gamma: share of the features to change, before blocks meet. The code's runs on CIFAR: 0.5 in seven of
            ten batches (``--mix-prob 0.7``), and 0.75 in all for soft blocks; its default is 0.9.
        size: side of a block, an odd number.
        layers: as of :class:`ManifoldMix`, of layers that return maps.

    Raises:
        ValueError: gamma lies outside [0, 1], size is no odd number above 0, the layer returns no maps (N, C,
            h, w); or as :class:`ManifoldMix`.

    Source: Faramarzi et al., "PatchUp: A Feature-Space Block-Level Regularization Technique for Convolutional
    Neural Networks" (AAAI 2022), whose two loss terms are the same number once labels are mixed. Differs from
    the published code: each image has blocks of its own, of any height and width, and a size that fits.

    Examples:
        >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.Flatten(), torch.nn.Linear(256, 5))
        >>> logits, target = HardPatchUp(layers=("0",))(torch.rand(2, 3, 8, 8), torch.tensor([0, 1]), net=net)
        >>> bool(((target.lam >= 0) & (target.lam <= 1)).all())
        True
    """

    gamma: float = 0.9
    size: int = 7
    layers: Sequence[str | int] | None = None

    measured: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_share("gamma", self.gamma)
        check_count("size", self.size)
        if self.size % 2 == 0:
            raise UserError(f"size must be an odd number, so that a block has a middle, got {self.size}")
        self.check_layers()

    def draw(self, lam: Tensor | float | None, images: Tensor, generator: torch.Generator | None) -> Tensor:
        """The share of the image itself within the blocks: none."""
        return given_lam(0.0 if lam is None else lam, images)

    def put(
        self, layer: Layer, a: Tensor, b: Tensor, lam: Tensor, generator: torch.Generator | None
    ) -> tuple[Tensor, Tensor]:
        """Change the blocks."""
        if a.ndim != 4:
            raise UserError(
                f"{type(self).__name__} changes blocks of maps (N, C, h, w), and layer {layer.name!r} "
                f"returns {tuple(a.shape)}: name other `layers`"
            )
        (own, axis), (other, _) = channels_first(a, layer), channels_first(b, layer)
        draws = sample_uniform(tuple(own.shape), generator, a.device)
        changed = block_mask(own.shape, self.gamma, self.size, draws)
        share = 1 - changed * (1 - lam)[:, None, None, None]
        precise = torch.promote_types(a.dtype, torch.float32)
        mixed = torch.lerp(other.to(precise), own.to(precise), share.to(precise)).to(a.dtype)
        return mixed.movedim(1, axis), share.flatten(1).mean(1)


@dataclass(frozen=True)
class SoftPatchUp(HardPatchUp):
    """The same, with the partner's features blended into the blocks.

    Within the blocks ``h <- l h + (1 - l) h[partner]`` with one ``l ~ Beta(alpha, alpha)`` per sample; the
    label weight of the image itself is ``p + (1 - p) l``, p the share of the features that are unchanged.

    Args:
        gamma: as of :class:`HardPatchUp`.
        size: as of :class:`HardPatchUp`.
        layers: as of :class:`HardPatchUp`.
        alpha: of the Beta distribution.

    Raises:
        ValueError: alpha is not above 0; or as :class:`HardPatchUp`.

    Source: the same paper. Differs from its code: l is drawn per sample.

    Examples:
        >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.Flatten(), torch.nn.Linear(256, 5))
        >>> logits, target = SoftPatchUp(layers=("0",))(torch.rand(2, 3, 8, 8), torch.tensor([0, 1]), net=net)
        >>> bool(((target.lam >= 0) & (target.lam <= 1)).all())
        True
    """

    alpha: float = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive("alpha", self.alpha)

    def draw(self, lam: Tensor | float | None, images: Tensor, generator: torch.Generator | None) -> Tensor:
        """The share of the image itself within the blocks."""
        if lam is not None:
            return given_lam(lam, images)
        return sample_beta(len(images), self.alpha, generator, images.device)
