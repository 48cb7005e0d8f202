"""What mixers of hidden layers share: which layer, the hook on it, and the labels of what it makes."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from ssl_mix.errors import UserError
from ssl_mix.mixers._common import check_float, pair_up
from ssl_mix.mixers.hooks import check_net, find_layer, hidden_layer_names, replaced_output
from ssl_mix.mixers.mixer import Mixed, MixedBatch, Mixer, Pair
from ssl_mix.types import MixedTarget

INPUT = "input"


class Layer(NamedTuple):
    """A layer of a network, or its input, of which two outputs are mixed.

    Attributes:
        name: as in ``net.named_modules()``, "input" for the images.
        net: the network.
    """

    name: str
    net: nn.Module


class LayerMixer(Mixer):
    """A mixer of the images, or of what a hidden layer makes of them, at one layer per batch.

    A subclass is a dataclass with the field ``layers`` and says how two outputs are put together, in ``put``,
    and which label weights are drawn, in ``draw``. Where those follow from the outputs (``measured``),
    ``target.lam`` is NaN until the layer has run.

    Attributes:
        layers: names of layers, numbers of stages, or None for the mixer's own choice.
        measured: whether the label weights are known only when the layer has run.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"net"})
    hidden: ClassVar[bool] = True
    measured: ClassVar[bool] = False
    layers: Sequence[str | int] | None

    @abstractmethod
    def draw(self, lam: Tensor | float | None, images: Tensor, generator: torch.Generator | None) -> Tensor:
        """The given lam, or one that is drawn, (N,) float32."""

    @abstractmethod
    def put(
        self, layer: Layer, a: Tensor, b: Tensor, lam: Tensor, generator: torch.Generator | None
    ) -> tuple[Tensor, Tensor]:
        """Two outputs (N, ...) of a layer mixed, and the label weight of the first, (N,) float32."""

    def usual_layers(self, net: nn.Module) -> Sequence[str]:
        """The layers that are mixed where none are named: the images and the first two stages."""
        return (INPUT, *hidden_layer_names(net)[:2])

    def check_layers(self) -> None:
        """Raise unless ``layers`` is a sequence of names and numbers, or None; keep it as a tuple."""
        given = self.layers
        if given is None:
            return
        listed = isinstance(given, Sequence) and not isinstance(given, str)
        if not listed or not given or not all(isinstance(layer, str | int) for layer in given):
            raise UserError(f'layers must be names such as ("input", "layer1") or (0, 1), got {given!r}')
        object.__setattr__(self, "layers", tuple(given))

    def layer_names(self, net: nn.Module) -> list[str]:
        """Names of the layers that may be mixed, "input" for the images; raises ValueError where the network
        lacks one."""
        chosen = self.usual_layers(net) if self.layers is None else self.layers
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
        net = check_net(pair.net, self)
        lam = self.draw(lam, pair.images_a, generator)
        layer = self._draw_layer(net, generator)
        self._check_values(pair.images_a, layer)
        found: list[Tensor] = []

        def mix(a: Tensor, b: Tensor) -> Tensor:
            values, share = self.put(layer, a, b, lam, generator)
            found.append(share)
            return values

        if layer.name == INPUT:
            logits = net(mix(pair.images_a, pair.images_b))
        else:
            with replaced_output(net, layer.name, lambda both: mix(*_halves(both, len(lam), layer.name))):
                logits = net(torch.cat((pair.images_a, pair.images_b)))
        return Mixed(logits, found[0], found[0][:, None, None, None])

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
            f"{type(self).__name__} mixes hidden layers, so that no batch of images can be handed on: "
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
        assert isinstance(mixed.target, MixedTarget)
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
        partner, labels_a, labels_b = pair_up(images, labels, generator, self.axes)
        lam = self.draw(None, images, generator)
        layer = self._draw_layer(net, generator)
        self._check_values(images, layer)
        weight = torch.full_like(lam, torch.nan) if self.measured else lam.clone()

        def mix(values: Tensor) -> Tensor:
            _check_rows(values, len(images), layer.name)
            mixed, share = self.put(layer, values, values.index_select(0, partner), lam, generator)
            weight.copy_(share)
            return mixed

        at_input = layer.name == INPUT
        with nullcontext() if at_input else replaced_output(net, layer.name, mix):
            yield MixedBatch(
                mix(images) if at_input else images, MixedTarget(labels_a, labels_b, weight), partner, None
            )

    def _check_values(self, images: Tensor, layer: Layer) -> None:
        """Raise for whole numbers that would be blended or are pixels; token ids are what embeddings read."""
        if layer.name == INPUT or images.ndim == 4:
            check_float(images, self)

    def _draw_layer(self, net: nn.Module, generator: torch.Generator | None) -> Layer:
        names = self.layer_names(net)
        source = generator.device if generator is not None else "cpu"
        return Layer(names[int(torch.randint(len(names), (), generator=generator, device=source))], net)


def channels_first(values: Tensor, layer: Layer) -> tuple[Tensor, int]:
    """Outputs of a layer with their channels in the second axis, and the axis that they came from.

    Tokens are (N, T, D) and become (N, D, T); maps are (N, C, h, w), but (N, h, w, C) where timm says so, as
    of Swin.
    """
    kinds = {getattr(part, "output_fmt", None) for part in layer.net.modules()}
    last = values.ndim == 3 or (values.ndim == 4 and layer.name != INPUT and "NHWC" in map(_plain, kinds))
    axis = values.ndim - 1 if last else 1
    return values.movedim(axis, 1), axis


def _plain(kind: object) -> str:
    return str(getattr(kind, "value", kind))


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
