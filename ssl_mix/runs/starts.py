"""Where the head of a run from weights starts, and the accuracy that it has without any training."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ssl_mix.algorithm import Algorithm
from ssl_mix.datasets import DataSet, ImageSet, Split
from ssl_mix.engine.config import TrainConfig
from ssl_mix.engine.execution import own_state, resolve_device
from ssl_mix.errors import UserError
from ssl_mix.evaluation import accuracy, plain_features
from ssl_mix.models.pretrained import source_classifier
from ssl_mix.passes import backbone, is_backbone
from ssl_mix.randomness import stream_generator
from ssl_mix.runs.net_options import HeadStart, NetOptions
from ssl_mix.transfer.starts import LinearHead, blended, probe, prototypes, summed
from ssl_mix.transfer.whitened import whitened

MOST = 10_000  # images of a part that a start is made of: more take long, and change little
Progress = Callable[[str, int, int], None]


class Start(NamedTuple):
    """What a run from weights starts from, for its ``config.json``.

    Attributes:
        head: "random", "probe", "prototypes" or "whitened".
        strength: inverse strength of regularization of the probe.
        scores: accuracies without any training: "probe_accuracy" and "start_accuracy" on the test part, with
            "_validation" on the one held out.
    """

    head: HeadStart
    strength: float
    scores: dict[str, float]

    @property
    def note(self) -> str:
        """What the user should know of it."""
        made = {
            "random": "the head starts as it is",
            "probe": "the head starts from the linear probe of the labeled images",
            "prototypes": "the head starts from the linear probe and class means that unlabeled images move",
            "whitened": "the head starts from the linear probe and classes sought among whitened features",
        }
        return f"{made[self.head]} (`head_start={self.head}`)"


def start_head(
    net: nn.Module,
    options: NetOptions,
    algorithm: Algorithm,
    data: DataSet,
    split: Split,
    config: TrainConfig,
    progress: Progress | None = None,
) -> Start | None:
    """Give ``net`` the head that it starts from, and measure the linear probe on its frozen features.

    Nothing is done without weights, unless a start is asked for.

    Args:
        net: as it is built; its head is changed in place, and it may move to the device of the run.
        options: name the start and the weights.
        algorithm: whether it uses unlabeled images decides the default.
        data: the images.
        split: which of them are labeled.
        config: device, threads and seed.
        progress: told how far computing the features is.

    Returns:
        What was found, or None.

    Raises:
        ValueError: a start is asked for, and the network has no linear head or there is no labeled image.
    """
    asked = options.head_start
    if not options.from_weights and asked in (None, "random"):
        return None
    if not is_backbone(net) and asked in (None, "random"):
        return None
    backbone(net)
    if not split.labeled:
        raise UserError("a head starts from labeled images, and there is none: raise the number of labels")
    device = resolve_device(config.device)
    with own_state(config, device, "start"):
        return _start(net.to(device), asked or default_start(net, algorithm), data, split, config, progress)


def default_start(net: nn.Module, algorithm: Algorithm) -> HeadStart:
    """Where a head starts unless told otherwise: one that came with the weights stays; a new one starts from
    prototypes where the algorithm learns from unlabeled images, else from the probe."""
    source, head = source_classifier(net), backbone(net).head
    kept = source is not None and source.weight.shape == head.weight.shape
    if source is not None and kept and torch.equal(source.weight.cpu(), head.weight.cpu()):
        return "random"
    return "prototypes" if algorithm.unlabeled_views else "probe"


def _start(
    net: nn.Module,
    kind: HeadStart,
    data: DataSet,
    split: Split,
    config: TrainConfig,
    progress: Progress | None,
) -> Start:
    def features(part: ImageSet, indices: Tensor, label: str) -> Tensor:
        told = None if progress is None else lambda done, total: progress(f"features: {label}", done, total)
        device = resolve_device(config.device)
        return plain_features(net, part.images, data.augmentation, device, indices=indices, progress=told)

    draws = stream_generator(config.seed, "start")
    labeled = some(split.labeled, draws)
    labels, known = data.train.labels[labeled], features(data.train, labeled, "labeled images")
    linear = probe(known, labels, len(data.classes), seed=config.seed)
    heads: dict[str, LinearHead] = {"probe": linear}
    if kind in ("prototypes", "whitened"):
        others = some(sorted({*split.unlabeled} - {*split.labeled}), draws)
        free = features(data.train, others, "unlabeled images")
        given = known, labels, free, len(data.classes)
        heads["start"] = (
            blended(whitened(*given), linear, torch.cat((known, free)))
            if kind == "whitened"
            else summed(linear, prototypes(*given))
        )
    held_out = torch.tensor(split.validation, dtype=torch.int64)
    parts = {"validation_": (data.train, held_out)} if len(held_out) else {}
    if data.test is not None:
        parts[""] = (data.test, torch.arange(len(data.test.images)))
    scores = {}
    for part, (images, indices) in parts.items():
        found = features(images, indices, "images with labels to evaluate on")
        for name, head in heads.items():
            scores[f"{name}_{part}accuracy"] = accuracy(head(found), images.labels[indices])
    if kind != "random":
        heads.get("start", linear).apply_to(net)
    return Start(kind, linear.strength, scores)


def some(indices: Sequence[int], generator: torch.Generator) -> Tensor:
    """All indices, or ``MOST`` of them drawn evenly, in order."""
    every = torch.tensor(indices, dtype=torch.int64)
    if len(every) <= MOST:
        return every
    return every[torch.randperm(len(every), generator=generator)[:MOST].sort().values]
