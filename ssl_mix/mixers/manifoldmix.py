"""ManifoldMix: blend what a hidden layer says of two images."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from ssl_mix.errors import UserError, check_positive
from ssl_mix.mixers._common import check_float, composite, pair_up, resolve_lam
from ssl_mix.mixers.hooks import check_net, find_layer, hidden_layer_names, replaced_output
from ssl_mix.mixers.mixer import Mixed, MixedBatch, Mixer, Pair
from ssl_mix.types import MixedTarget

INPUT = "input"


@dataclass(frozen=True)
class ManifoldMix(Mixer):
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
            stages in ``net.hidden_layers``. None for the images and the first two stages.

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

    alpha: float = 2.0
    layers: Sequence[str | int] | None = None

    needs: ClassVar[frozenset[str]] = frozenset({"net"})
    hidden: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_positive("alpha", self.alpha)
        given = self.layers
        if given is None:
            return
        listed = isinstance(given, Sequence) and not isinstance(given, str)
        if not given or not listed or not all(isinstance(layer, str | int) for layer in given):
            raise UserError(f'layers must be names such as ("input", "layer1") or (0, 1), got {given!r}')
        object.__setattr__(self, "layers", tuple(given))

    def layer_names(self, net: nn.Module) -> list[str]:
        """Names of the layers that may be mixed, "input" for the images; raises ValueError where the network
        lacks one."""
        chosen = (INPUT, *hidden_layer_names(net)[:2]) if self.layers is None else self.layers
        names = [_name(net, layer) for layer in chosen]
        for name in names:
            if name != INPUT:
                find_layer(net, name)
        return names

    def prepare(self, net: nn.Module, image_shape: tuple[int, int, int]) -> None:
        """Check that the network has the layers."""
        del image_shape
        self.layer_names(net)

    def blend(self, pair: Pair, lam: Tensor | float | None, generator: torch.Generator | None) -> Mixed:
        """Logits, in the place of images, of the network with one layer mixed."""
        check_float(pair.images_a, self)
        net = check_net(pair.net, self)
        lam = resolve_lam(lam, self.alpha, pair.images_a, generator)
        mask = lam[:, None, None, None]
        name = self._draw_layer(net, generator)
        if name == INPUT:
            return Mixed(net(composite(pair.images_a, pair.images_b, mask)), lam, mask)
        with replaced_output(net, name, lambda both: _blend(*_halves(both, len(lam), name), lam)):
            return Mixed(net(torch.cat((pair.images_a, pair.images_b))), lam, mask)

    def mix_batch(
        self,
        images: Tensor,
        labels: Tensor,
        *,
        net: nn.Module | None = None,
        generator: torch.Generator | None = None,
    ) -> MixedBatch:
        """Raises ValueError: there are no mixed images outside a forward pass."""
        raise UserError(
            "ManifoldMix mixes hidden layers, so that no batch of images can be handed on: "
            "use `with mixer.applied(net, images, labels) as mixed: net(mixed.images)`"
        )

    def __call__(
        self,
        images: Tensor,
        labels: Tensor,
        *,
        net: nn.Module | None = None,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, MixedTarget]:
        """Logits (N, C) of the mixed batch, from one forward pass of N images, and its labels."""
        net = check_net(net, self)
        with self.applied(net, images, labels, generator=generator) as mixed:
            logits = net(mixed.images)
        return logits, mixed.target

    @contextmanager
    def applied(
        self,
        net: nn.Module,
        images: Tensor,
        labels: Tensor,
        *,
        generator: torch.Generator | None = None,
    ) -> Iterator[MixedBatch]:
        """Within the block one forward pass of ``net`` on the batch's images is mixed; its mask is None."""
        partner, labels_a, labels_b = pair_up(images, labels, generator)
        check_float(images, self)
        lam = resolve_lam(None, self.alpha, images, generator)
        name = self._draw_layer(net, generator)
        target = MixedTarget(labels_a, labels_b, lam)

        def mix(values: Tensor) -> Tensor:
            _check_rows(values, len(images), name)
            return _blend(values, values.index_select(0, partner), lam)

        mixing = nullcontext() if name == INPUT else replaced_output(net, name, mix)
        with mixing:
            yield MixedBatch(mix(images) if name == INPUT else images, target, partner, None)

    def _draw_layer(self, net: nn.Module, generator: torch.Generator | None) -> str:
        names = self.layer_names(net)
        source = generator.device if generator is not None else "cpu"
        return names[int(torch.randint(len(names), (), generator=generator, device=source))]


def _name(net: nn.Module, layer: str | int) -> str:
    if isinstance(layer, str):
        return layer
    names = (INPUT,) if layer == 0 else (INPUT, *hidden_layer_names(net))
    if not 0 <= layer < len(names):
        raise UserError(f"layers must lie in 0..{len(names) - 1} for this network, got {layer}")
    return names[layer]


def _check_rows(values: Tensor, rows: int, name: str) -> None:
    if values.ndim == 0 or len(values) != rows:
        raise UserError(
            f"layer {name!r} must return ({rows}, ...), one row per image, got {tuple(values.shape)}: "
            "choose another layer"
        )


def _halves(both: Tensor, count: int, name: str) -> tuple[Tensor, Tensor]:
    _check_rows(both, 2 * count, name)
    return both[:count], both[count:]


def _blend(values_a: Tensor, values_b: Tensor, lam: Tensor) -> Tensor:
    return composite(values_a, values_b, lam.view(-1, *[1] * (values_a.ndim - 1)))
