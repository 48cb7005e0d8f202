"""A run as a value: what to learn from, which network, which algorithm, how to train; and back from its
``config.json``."""

import dataclasses
import platform
import sys
from dataclasses import dataclass
from typing import Any

import torch
import torchvision
from torch import nn

from ssl_mix._version import __version__
from ssl_mix.algorithm import Algorithm
from ssl_mix.algorithms import ALGORITHMS
from ssl_mix.datasets import DataSet, Split
from ssl_mix.datasets.splits import checksum
from ssl_mix.engine.config import TrainConfig
from ssl_mix.engine.trainer import Trainer
from ssl_mix.errors import UserError
from ssl_mix.mixing.terms import MixingTerms
from ssl_mix.models.pretrained import restore_source_head
from ssl_mix.runs.data_options import DataOptions
from ssl_mix.runs.folder import FORMAT
from ssl_mix.runs.net_options import NetOptions
from ssl_mix.runs.own_algorithm import algorithm_of_run
from ssl_mix.runs.reading import build, made
from ssl_mix.runs.views import described_views
from ssl_mix.targets import Targets
from ssl_mix.transfer.head_net import on_body_as

NESTED: dict[str, type] = {"mixing": MixingTerms, "targets": Targets}  # options that many algorithms share


@dataclass(frozen=True)
class Run:
    """Everything that defines a run."""

    algorithm: Algorithm
    data: DataOptions
    net: NetOptions = NetOptions()
    config: TrainConfig = TrainConfig()

    def settled(self) -> "Run":
        """The same with what depends on this machine and on other files written out: absolute paths, where
        the weights come from, and the normalization that they want."""
        given = {name: value for name in ("mean", "std") if (value := getattr(self.data, name)) is not None}
        data: Any = dataclasses.replace(self.data.absolute(), **(self.net.normalization() | given))
        return dataclasses.replace(self, data=data, net=self.net.resolved())

    def trainer(
        self,
        data: DataSet,
        split: Split,
        state: dict[str, Any] | None = None,
        net: nn.Module | None = None,
    ) -> Trainer:
        """A trainer at step 0, or at that of a checkpoint, for which no pre-trained weights are read.

        Args:
            data: the images.
            split: which of them are labeled.
            state: of a checkpoint.
            net: to train in place of the one that the options name, as much of it as they say.
        """
        options = self.net if state is None else dataclasses.replace(self.net, pretrained="none")
        shape = data.augmentation.seen(data.train.images.shape)
        if net is None:
            net = options.build(shape, len(data.classes), self.config.seed, data.classes)
        net = net if state is None else on_body_as(net, state["student"])
        net = self.net.tuned(net, shape, self.config.seed)
        if state is None:
            return Trainer(self.algorithm, net, data, split, self.config)
        restore_source_head(net, state["student"])
        trainer = Trainer(self.algorithm, net, data, split, self.config)
        trainer.load_state_dict(state)
        return trainer

    def first_network(self, data: DataSet) -> nn.Module:
        """The network that the options name, with its first weights, for the images and classes of the
        data."""
        shape = data.augmentation.seen(data.train.images.shape)
        return self.net.build(shape, len(data.classes), self.config.seed, data.classes)

    def describe(self, data: DataSet, split: Split) -> dict[str, Any]:
        """The content of ``config.json``."""
        names = {cls: name for name, cls in ALGORITHMS.items()}
        if type(self.algorithm) not in names:
            raise UserError(
                f"{type(self.algorithm).__name__} is not in ALGORITHMS: register it, or use Trainer itself"
            )
        return {
            "format": FORMAT,
            "algorithm": {"name": names[type(self.algorithm)], **_plain(self.algorithm.hyperparameters())},
            "data": dataclasses.asdict(self.data),
            "net": dataclasses.asdict(self.net.resolved()),
            "train": dataclasses.asdict(self.config),
            "dataset": {
                "name": data.name,
                "classes": list(data.classes),
                "image_shape": list(data.augmentation.seen(data.train.images.shape)),
                "stored_size": data.train.images.shape[-1],
                "test_images": 0 if data.test is None else len(data.test.labels),
                "augmentation": described_views(data),
                "fingerprint": data.fingerprint(),
                "split_sha256": split.sha256,
                "other_parts_sha256": checksum((*split.validation, *split.unlabeled)),
            },
            "versions": {
                "ssl_mix": __version__,
                "torch": torch.__version__,
                "torchvision": torchvision.__version__,
                "python": platform.python_version(),
            },
            "command": sys.argv,
        }

    @classmethod
    def from_description(cls, description: dict[str, Any]) -> "Run":
        """The run behind a ``config.json``.

        Raises:
            ValueError: it is of something else, or holds what no run can have.
        """
        if description.get("format") != FORMAT:
            raise UserError(
                f"expected a run (config of format {FORMAT!r}), found {description.get('format')!r}; "
                "a demo's runs are the folders inside it, and a transfer to segmentation has its scores in "
                "segmentation.json"
            )
        data: DataOptions = build(DataOptions, description["data"])
        if not description["given"]["data"]:
            made(data.check, {})
        keywords = dict(description["algorithm"])
        algorithm = algorithm_of_run(keywords.pop("name"))
        for group in NESTED.keys() & keywords.keys():
            keywords[group] = build(NESTED[group], keywords[group])
        return cls(
            build(algorithm, keywords),
            data,
            build(NetOptions, description["net"]),
            build(TrainConfig, description["train"]),
        )


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {k: dataclasses.asdict(v) if dataclasses.is_dataclass(v) else v for k, v in values.items()}  # type: ignore[arg-type]
