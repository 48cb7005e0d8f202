"""Trainers, networks and batches small enough to try every algorithm on."""

import copy
import dataclasses
import functools
import itertools
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from ssl_mix import Batch, Nets, Samples, Step, StepOutput, Task, TrainConfig, Trainer
from ssl_mix.algorithm import Algorithm
from ssl_mix.algorithms import VPet
from ssl_mix.augment import Augmentation
from ssl_mix.augment.views import Policy
from ssl_mix.datasets import DataSet, ImageSet, ResidentImages, choose_split
from ssl_mix.models import SmallCNN
from ssl_mix.models.pretrained import keep_source_head

CLASSES = 4


def blobs(pictures: int, seed: int = 0) -> DataSet:
    """8 x 8 images whose class is the bright quarter, with noise."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(pictures) % CLASSES
    images = torch.randint(0, 120, (pictures, 1, 8, 8), dtype=torch.uint8, generator=generator)
    for label in range(CLASSES):
        row, column = 4 * (label // 2), 4 * (label % 2)
        images[labels == label, :, row : row + 4, column : column + 4] += 110
    part = ImageSet(ResidentImages(images), labels, None)
    augmentation = Augmentation(mean=(0.4,), std=(0.3,), flip=False, padding=1, geometry=0.2)
    return DataSet("blobs", tuple("abcd"), part, part, augmentation, ())


def altered_by(policy: Policy) -> DataSet:
    """Blobs whose strong views are made in that way."""
    data = blobs(64)
    return dataclasses.replace(data, augmentation=dataclasses.replace(data.of_pixels, policy=policy))


def make(
    algorithm: Algorithm,
    *,
    per_class: int = 4,
    net: nn.Module | None = None,
    data: DataSet | None = None,
    **config: Any,
) -> Trainer:
    data = data or blobs(64)
    split = choose_split(
        data.train.labels, CLASSES, labels_total=None, per_class=per_class, seed=0, classes=data.classes
    )
    torch.manual_seed(0)
    options = {
        "steps": 12,
        "batch_size": 6,
        "log_every": 5,
        "eval_every": 12,
        "checkpoint_every": 12,
        "lr": 0.05,
    } | config
    trainer = Trainer(algorithm, net or pretrained_network(), data, split, TrainConfig(**options))
    cast_any(algorithm)
    return trainer


def pretrained_network() -> nn.Module:
    """A network that remembers a classifier of three source classes."""
    net = SmallCNN(CLASSES, channels=1)
    keep_source_head(net, nn.Linear(64, 3))
    return net


def views(names: tuple[str, ...], count: int, seed: int) -> dict[str, Tensor]:
    """Noise, other noise for each view."""
    found = {}
    for name in names:
        generator = torch.Generator().manual_seed(10_000 * seed + sum(name.encode()))
        found[name] = torch.randn(count, 1, 8, 8, generator=generator)
    return found


def random_batch(algorithm: Algorithm, labeled: int = 16, unlabeled: int = 40) -> Batch:
    first = Samples(
        views(algorithm.labeled_views, labeled, 1), torch.arange(labeled), torch.arange(labeled) % CLASSES
    )
    if not algorithm.unlabeled_views:
        return Batch(first, None)
    return Batch(
        first, Samples(views(algorithm.unlabeled_views, unlabeled, 2), torch.arange(unlabeled), None)
    )


@functools.cache
def undecided(seed: int) -> nn.Module:
    """A network whose guesses are of every class and all degrees of confidence: logits of mean 0 and
    deviation 1."""
    torch.manual_seed(seed)
    net = pretrained_network()
    head: Any = net.head
    with torch.no_grad(), torch.autocast("cpu", enabled=False):
        logits = net(torch.randn(256, 1, 8, 8))
        head.weight /= logits.std(0)[:, None]
        head.bias.copy_((head.bias - logits.mean(0)) / logits.std(0))
    return net


def network(algorithm: Algorithm, seed: int = 3) -> nn.Module:
    """Such a network with what an algorithm adds to it."""
    net = copy.deepcopy(undecided(seed))
    torch.manual_seed(seed + 10)
    student = algorithm.extend(net, Task(CLASSES, 40, (1, 8, 8), 16, (0.4, 0.3, 0.2, 0.1)))
    cast_any(algorithm)
    return student


def cast_any(algorithm: Algorithm) -> None:
    """Votes at random, where the algorithm learns votes."""
    if isinstance(algorithm, VPet):
        generator = torch.Generator().manual_seed(5)
        algorithm.cast(torch.randint(CLASSES, algorithm.votes.shape, generator=generator))


def networks(algorithm: Algorithm) -> Nets:
    return Nets(network(algorithm).train(), network(algorithm, 6).eval())


def step(number: int = 6) -> Step:
    return Step(number, 12, torch.Generator().manual_seed(4))


def forward(algorithm: Algorithm, batch: Batch | None = None) -> StepOutput:
    output: StepOutput = algorithm(networks(algorithm), batch or random_batch(algorithm), step())
    return output


def tensors(value: Any) -> Iterator[Tensor]:
    """Every tensor in nested state."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        yield from itertools.chain.from_iterable(map(tensors, value.values()))
    elif isinstance(value, (list, tuple)):
        yield from itertools.chain.from_iterable(map(tensors, value))


def timeless(record: dict[str, float]) -> dict[str, float]:
    """A record without what depends on the speed of the machine."""
    return {name: value for name, value in record.items() if "second" not in name and name != "data_wait"}


def same_bits(first: Any, second: Any) -> bool:
    left, right = list(tensors(first)), list(tensors(second))
    return len(left) == len(right) and all(map(torch.equal, left, right))
