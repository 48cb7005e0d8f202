"""Data and a network that a caller hands over: a run's folder cannot hold them, so it remembers what they
were."""

import copy
import hashlib
from typing import Any, NamedTuple

import torch
from torch import nn

from ssl_mix.datasets import DataSet
from ssl_mix.errors import UserError
from ssl_mix.models.adapted import NoLinearHead, adapt, with_new_head
from ssl_mix.passes import backbone, is_backbone
from ssl_mix.randomness import stream_seed

AGAIN = "pass them to ssl_mix.fit or ssl_mix.load again"


class Given(NamedTuple):
    """What was handed over.

    Attributes:
        data: to learn from, in place of what the options name.
        net: to start from, likewise.
    """

    data: DataSet | None = None
    net: nn.Module | None = None

    def network(self, num_classes: int, seed: int = 0) -> nn.Module | None:
        """A copy of the network with features and a head, which is a new one where it was for other classes,
        drawn from the stream of weights of the seed; one that has no linear head as it is."""
        if self.net is None:
            return None
        net = with_parts(copy.deepcopy(self.net))
        if not is_backbone(net) or backbone(net).head.out_features == num_classes:
            return net
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(stream_seed(seed, "weights"))
            return with_new_head(net, num_classes)

    def describe(self) -> dict[str, Any]:
        """For ``config.json``: whether data were given, and which network."""
        return {
            "data": self.data is not None,
            "net": None if self.net is None else network_identity(self.net),
        }

    def check(self, recorded: dict[str, Any]) -> None:
        """Raise unless as much is handed over as when the run began, and the network is of the same kind.

        Whether the data are the same is told by their fingerprint.
        """
        if recorded["data"] and self.data is None:
            raise UserError(f"this run learned from data that were handed over in Python: {AGAIN}")
        if recorded["net"] and self.net is None:
            raise UserError(
                f"this run trained a network that was handed over in Python ({recorded['net']['class']}): "
                f"{AGAIN}"
            )
        if self.net is not None and recorded["net"] != network_identity(self.net):
            raise UserError(
                f"the network is not the one that the run began with: expected {recorded['net']}, got "
                f"{network_identity(self.net)}"
            )


def with_parts(net: nn.Module) -> nn.Module:
    """The network adapted; itself where it ends in no linear layer, for algorithms that need logits alone."""
    try:
        return adapt(net)
    except NoLinearHead:
        return net


def network_identity(net: nn.Module) -> dict[str, str]:
    """The class of a network, and a check sum of the names and shapes of its weights but for its head's."""
    adapted = with_parts(net)
    head = {id(weight) for weight in backbone(adapted).head.parameters()} if is_backbone(adapted) else set()
    shapes = [
        (name, tuple(parameter.shape))
        for name, parameter in adapted.named_parameters()
        if id(parameter) not in head
    ]
    return {"class": type(net).__name__, "sha256": hashlib.sha256(repr(shapes).encode()).hexdigest()[:16]}
