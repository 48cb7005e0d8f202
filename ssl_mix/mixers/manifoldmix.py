"""ManifoldMix: blend what a hidden layer says of two images."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ssl_mix.errors import check_positive
from ssl_mix.mixers._common import composite, resolve_lam
from ssl_mix.mixers.layer_mixer import Layer, LayerMixer


@dataclass(frozen=True)
class ManifoldMix(LayerMixer):
    """Blend the output of a hidden layer, or the images, each pair with a share of its own.

    ``h <- lam * h + (1 - lam) * h[partner]`` with one ``lam ~ Beta(alpha, alpha)`` per sample, at one layer
    per batch, drawn uniformly from ``layers``. Any network will do whose layer returns one tensor (N, ...),
    samples first. ::

        with mixer.applied(net, images, labels, generator=generator) as mixed:
            loss = criterion(net(mixed.images), mixed.target)

    Called itself, ``logits, target = mixer(images, labels, net=net)``, it runs the network once on N images
    and returns logits in the place of images; so does ``logits, lam = mixer.mix(images_a, images_b,
    net=net)``, which runs the layers below the mixed one on 2 N images at once. Blends in float32 or better,
    rounding once.

    A network compiled by ``torch.compile`` is refused; in ``DataParallel`` the layer's copies run, not the
    layer, which raises too. A layer that an activation checkpoint runs a second time after the block cannot
    be mixed.

    Args:
        alpha: of the Beta distribution.
        layers: module names as in ``net.named_modules()``; "input" or 0 for the images, k for the k-th of the
            stages of the network. None for the images and the first two stages.

    Raises:
        ValueError: alpha is not above 0, layers is empty or no such sequence, the network is missing,
            compiled or has no such layer, the layer returns no float tensor (N, ...), or in the block of
            ``applied`` it runs never or more than once.

    Source: Verma et al., "Manifold Mixup: Better Representations by Interpolating Hidden States" (ICML 2019).
    Differs from the published code: no special networks, lam per sample, cross entropy instead of binary
    cross entropy of softmax.

    Examples:
        >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 3))
        >>> images, labels = torch.rand(2, 1, 2, 2), torch.tensor([0, 1])
        >>> logits, target = ManifoldMix(layers=("1",))(images, labels, net=net)
        >>> share, partner = target.lam[:, None], net(images)[target.labels_b]
        >>> torch.testing.assert_close(logits, share * net(images) + (1 - share) * partner)
    """

    axes: ClassVar[tuple[int, ...]] = ()
    alpha: float = 2.0
    layers: Sequence[str | int] | None = None

    def __post_init__(self) -> None:
        check_positive("alpha", self.alpha)
        self.check_layers()

    def draw(self, lam: Tensor | float | None, images: Tensor, generator: torch.Generator | None) -> Tensor:
        """One share per sample."""
        return resolve_lam(lam, self.alpha, images, generator)

    def put(
        self, layer: Layer, a: Tensor, b: Tensor, lam: Tensor, generator: torch.Generator | None
    ) -> tuple[Tensor, Tensor]:
        """Blend two outputs."""
        return composite(a, b, lam.view(-1, *[1] * (a.ndim - 1))), lam
