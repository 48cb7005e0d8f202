"""AttentiveMix: keep what a network looks at, paste the partner into the rest."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from ssl_mix.errors import UserError, check_count, check_positive
from ssl_mix.mixers._common import composite, highest, pixel_share, resolve_lam
from ssl_mix.mixers.cells import spread
from ssl_mix.mixers.frozen_net import feature_maps
from ssl_mix.mixers.hooks import check_net, find_layer, hidden_layer_names
from ssl_mix.mixers.mixer import Mixed, Mixer, Pair


@dataclass(frozen=True)
class AttentiveMix(Mixer):
    """Keep the cells of an image where a network's features are strongest, paste the partner into the others.

    The mean over the channels of a feature map (N, c, h, w) of ``images_a`` ranks ``h w`` cells. The first
    ``round(h w lam)`` are kept, with one ``lam ~ Beta(alpha, alpha)`` per sample; the returned lam is the
    share of pixels they cover. The network runs in eval mode without gradient, and is left as it was.

    Args:
        alpha: of the Beta distribution.
        top_k: number of cells to keep in every image, unless lam is given; None draws it.
        layer: name of the layer, as in ``net.named_modules()``, that returns the feature map; None for the
            last stage of the network.

    Raises:
        ValueError: alpha is not above 0, top_k is no whole number above 0 or exceeds the number of cells, the
            network is missing or has no such layer, the layer returns no feature map, images are integers, or
            shapes differ.

    Source: Walawalkar et al., "Attentive CutMix" (ICASSP 2020), which keeps 6 of 49 cells by a pre-trained
    ResNet-50; drawn numbers of cells are OpenMixup's. Differs from it: one number of cells per sample,
    rounded to the nearest.

    Examples:
        >>> from ssl_mix.models import build_model
        >>> a, b = torch.ones(1, 3, 8, 8), torch.zeros(1, 3, 8, 8)
        >>> mixed, lam = AttentiveMix(top_k=1).mix(a, b, net=build_model("small-cnn", 10))
        >>> mixed.mean(), lam  # keeps one of four cells
        (tensor(0.2500), tensor([0.2500]))
    """

    alpha: float = 1.0
    top_k: int | None = None
    layer: str | None = None

    needs: ClassVar[frozenset[str]] = frozenset({"net"})

    def __post_init__(self) -> None:
        check_positive("alpha", self.alpha)
        if self.top_k is not None:
            check_count("top_k", self.top_k)

    def layer_name(self, net: nn.Module) -> str:
        """Name of the layer that is asked."""
        return hidden_layer_names(net)[-1] if self.layer is None else self.layer

    def prepare(self, net: nn.Module, image_shape: tuple[int, int, int]) -> None:
        """Check that the network has the layer."""
        del image_shape
        find_layer(net, self.layer_name(net))

    def blend(self, pair: Pair, lam: Tensor | float | None, generator: torch.Generator | None) -> Mixed:
        """Keep the strongest cells of ``images_a``."""
        images = pair.images_a
        if not images.is_floating_point():
            raise UserError(f"AttentiveMix feeds images to the network: float expected, got {images.dtype}")
        net = check_net(pair.net, self)
        attention = feature_maps(net, self.layer_name(net), images).float().mean(1)
        count = self._count(attention[0].numel(), images, lam, generator)
        kept = highest(attention.flatten(1), count).view_as(attention)
        mask = spread(kept, *images.shape[2:])
        return Mixed(composite(images, pair.images_b, mask, own_b=pair.own_b), pixel_share(mask), mask)

    def _count(
        self, cells: int, images: Tensor, lam: Tensor | float | None, generator: torch.Generator | None
    ) -> Tensor:
        if lam is not None or self.top_k is None:
            return (cells * resolve_lam(lam, self.alpha, images, generator)).round()
        if self.top_k > cells:
            raise UserError(f"top_k is {self.top_k}, but the feature map has only {cells} cells")
        return torch.full((len(images),), self.top_k, device=images.device)
