"""DELTA: fine-tune, but keep the feature maps near those of the starting network.

Source: Li et al., "DELTA: DEep Learning Transfer using Feature Map with Attention for Convolutional Networks"
(ICLR 2019), equations 4 and 5, in the form of TLlib, all filters with the same attention. Take it with
``--weight-decay 0``. The published attention, which needs a forward pass for each filter and batch (38,400
for ResNet-50), is left out.

Published accuracy with 15 % of the labels (ResNet-50, ten-crop, with attention): CUB-200 46.83, Stanford-Cars
39.37, FGVC-Aircraft 42.16 (Wang et al., ICML 2021).
"""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssl_mix.algorithms.fine_tuning import FineTuning, Terms, View
from ssl_mix.algorithms.l2_sp import head_size
from ssl_mix.errors import UserError, check_not_negative
from ssl_mix.mixers.hooks import find_layer, hidden_layer_names, unwrapped
from ssl_mix.passes import logits_of
from ssl_mix.ranks import gathered
from ssl_mix.types import Task

SHORTCUTS = ("shortcut", "downsample")


class DELTA(FineTuning):
    """Fine-tune, but keep the feature maps near those at the start.

    ``loss = CE + feature_weight / 2 * sum_j |FM_j - FM_j at the start|^2 + head_weight / 2 * |head|^2``. FM_j
    is what the last convolution of stage j makes of the labeled images, before batch norm and shortcut; its
    squares are summed over images and channels, and averaged over places. The starting network is frozen and
    normalizes by its running statistics.

    Args:
        feature_weight: of the distance of the feature maps.
        head_weight: of the size of the head.
        view: of the labeled images, see :class:`FineTuning`.

    Attributes:
        source: the starting network, frozen.

    Raises:
        ValueError: a weight is negative; in ``extend``: the network does not name its stages
            (``hidden_layers``).
    """

    needs_body = "compares feature maps"

    def __init__(
        self, *, feature_weight: float = 0.01, head_weight: float = 0.01, view: View = "strong"
    ) -> None:
        super().__init__(view=view)
        check_not_negative("feature_weight", feature_weight)
        check_not_negative("head_weight", head_weight)
        self.feature_weight, self.head_weight = feature_weight, head_weight

    def extend(self, net: nn.Module, task: Task) -> nn.Module:
        """Keep a frozen copy of the start."""
        self._convolutions = last_convolutions(net)
        self.source = copy.deepcopy(net).requires_grad_(False).eval()
        return super().extend(net, task)

    def train(self, mode: bool = True) -> "DELTA":
        """The starting network stays in evaluation mode."""
        super().train(mode)
        if hasattr(self, "source"):
            self.source.eval()
        return self

    def terms(self, net: nn.Module, images: Tensor, labels: Tensor) -> Terms:
        """See ``FineTuning``."""
        with outputs_of(net, self._convolutions) as maps:
            supervised = F.cross_entropy(logits_of(unwrapped(net), images), labels)
        with torch.no_grad(), outputs_of(self.source, self._convolutions) as start:
            self.source(images)
        distance = torch.stack([_distance(*pair) for pair in zip(maps, start, strict=True)]).sum()
        return {
            "labeled": (1.0, supervised),
            "features": (self.feature_weight, distance),
            "head": (self.head_weight, head_size(net)),
        }


def last_convolutions(net: nn.Module) -> tuple[str, ...]:
    """Name of the last convolution between the end of the stage before and the end of each stage, those of
    shortcuts left out.

    Raises:
        ValueError: the network names no stages, or one has no convolution.
    """
    names = list(dict(net.named_modules()))
    found, begin = [], 0
    for stage in hidden_layer_names(net):
        end = max(place for place, name in enumerate(names) if f"{name}.".startswith(f"{stage}."))
        inside = [
            name
            for name in names[begin : end + 1]
            if isinstance(net.get_submodule(name), nn.Conv2d) and not any(part in name for part in SHORTCUTS)
        ]
        if not inside:
            raise UserError(f"DELTA compares convolutions, and {stage!r} of {type(net).__name__} has none")
        found.append(inside[-1])
        begin = end + 1
    return tuple(found)


@contextmanager
def outputs_of(net: nn.Module, names: Sequence[str]) -> Iterator[list[Tensor]]:
    """Within the block, the outputs of the layers called ``names``, in the order in which they run."""
    outputs: list[Tensor] = []
    layers = [find_layer(net, name) for name in names]
    hooks = [layer.register_forward_hook(lambda *run: outputs.append(gathered(run[2]))) for layer in layers]
    try:
        yield outputs
    finally:
        for hook in hooks:
            hook.remove()


def _distance(maps: Tensor, start: Tensor) -> Tensor:
    exact = torch.promote_types(maps.dtype, torch.float32)  # under autocast both are half precision
    return (maps.to(exact) - start.to(exact)).square().mean(dim=(2, 3)).sum() / 2
