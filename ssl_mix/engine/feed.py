"""What a step sees: which images, in which order, in which views."""

from collections.abc import Iterator
from functools import partial
from itertools import repeat
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ssl_mix.algorithm import Algorithm
from ssl_mix.datasets import DataSet, ShuffledIndex, Split
from ssl_mix.datasets.images import shared_batches
from ssl_mix.datasets.repeated import RepeatedIndex
from ssl_mix.datasets.tensors import TensorViews
from ssl_mix.datasets.weighted import WeightedIndex
from ssl_mix.engine.config import TrainConfig
from ssl_mix.engine.probing import policy_of
from ssl_mix.errors import UserError, check_count
from ssl_mix.randomness import stream_generator
from ssl_mix.ranks import all_rows
from ssl_mix.types import Batch, Samples, Task


class RawSamples(NamedTuple):
    """One half of the images of a step.

    Attributes:
        images: as they are stored, uint8 on the device; None where no view is made of them.
        positions: in their part of the data, on the CPU.
        views: those that the user's own transforms made, float on the CPU.
    """

    images: Tensor | None
    positions: Tensor
    views: dict[str, Tensor]


class RawBatch(NamedTuple):
    """The images of one step before they are augmented."""

    labeled: RawSamples
    unlabeled: RawSamples | None


class Feed:
    """Draws indices, gathers uint8 images on the device and augments them, or has the user's own
    transforms make views of them. All draws are functions of (seed, step).

    Args:
        algorithm: says which views it reads, and how many unlabeled images for a labeled one.
        data: the images.
        split: which of them are labeled and unlabeled.
        config: how to train.
        device: where batches go.

    Raises:
        ValueError: no labeled image, or an algorithm that needs unlabeled images gets none.

    Attributes:
        labeled: positions of the labeled images in the training part, (L,) int64 on the CPU.
        unlabeled: of the unlabeled ones, (U,) int64 on the CPU.
        labels: of the labeled images, (L,) int64 on the device.
        shape: (C, H, W) of what the network sees, or that of other inputs.
        dtype: of what it sees.
        policy: of strong views that learns; None where they learn nothing.
        learned: its state, if any.
    """

    def __init__(
        self, algorithm: Algorithm, data: DataSet, split: Split, config: TrainConfig, device: torch.device
    ) -> None:
        check_parts(algorithm, split)
        self.algorithm, self.data, self.config, self.device = algorithm, data, config, device
        self.labeled = torch.tensor(split.labeled)
        self.unlabeled = torch.tensor(split.unlabeled, dtype=torch.int64)
        self.labels = data.train.labels[self.labeled].to(device)
        self.policy = policy_of(algorithm, data)
        self.learned = nn.ModuleList([] if self.policy is None else [self.policy]).to(device)
        made = data.augmentation
        self.dtype = made.dtype if isinstance(made, TensorViews) else torch.float32
        self.shape = data.augmentation.seen(data.train.images.shape)
        if config.reject and not algorithm.unlabeled_views:
            raise UserError(
                f"`reject` leaves unlabeled images out, and {type(algorithm).__name__} reads none here: "
                "leave it out"
            )
        if config.class_weights and len(config.class_weights) != len(data.classes):
            raise UserError(
                f"`class_weights` must be one for each of the {len(data.classes)} classes, got "
                f"{len(config.class_weights)}"
            )

    @property
    def task(self) -> Task:
        """What there is to learn from."""
        counts = len(self.data.classes), len(self.unlabeled)
        return Task(*counts, self.shape, len(self.labeled), self.class_shares)

    @property
    def class_shares(self) -> tuple[float, ...]:
        """How often a labeled image of each class is drawn, C shares that sum to 1; () where masks take
        the place of labels."""
        labels = self.data.train.labels[self.labeled]
        if (labels < 0).any():
            return ()
        config, classes = self.config, len(self.data.classes)
        counts = torch.bincount(labels, minlength=classes).double()
        if config.balanced or config.class_weights:
            weights = torch.tensor(config.class_weights or [1.0] * classes, dtype=torch.float64)
            counts = (counts > 0) * weights if config.balanced else counts * weights
        return tuple((counts / counts.sum()).tolist())

    @property
    def images_per_step(self) -> int:
        """Augmented images in a step, all views counted."""
        return images_per_step(self.algorithm, self.config)

    def batches(self, start: int) -> Iterator[RawBatch]:
        """Raw batches from step ``start`` on, without end."""
        algorithm, size = self.algorithm, self.config.batch_size
        labeled = self._stream("labeled", self.labeled, algorithm.labeled_views, size, start)
        if not algorithm.unlabeled_views:
            yield from (RawBatch(samples, None) for samples in labeled)
            return
        size *= algorithm.unlabeled_ratio
        unlabeled = self._stream("unlabeled", self.unlabeled, algorithm.unlabeled_views, size, start)
        yield from (RawBatch(*halves) for halves in zip(labeled, unlabeled, strict=True))

    def _stream(
        self, name: str, part: Tensor, views: tuple[str, ...], size: int, start: int
    ) -> Iterator[RawSamples]:
        order = self._order(name, part, size)
        stored: Iterator[Tensor | None] = repeat(None)
        made: Iterator[dict[str, Tensor]] = repeat({})
        own_views, own = self.data.own_views, self._own(views)
        if len(own) < len(views) or (self.policy is not None and name == "labeled"):
            wanted = (part[positions] for positions in order.from_step(start))
            stored = shared_batches(self.data.train.images, wanted, self.device)
        if own_views is not None and own:
            wanted = (part[positions] for positions in order.from_step(start))
            pinned = self.device.type == "cuda"
            made = own_views.batches(
                own, wanted, seed=self.config.seed, part=name, start=start, pinned=pinned
            )
        return map(RawSamples, stored, order.from_step(start), made)

    def _own(self, views: tuple[str, ...]) -> tuple[str, ...]:
        """Those that the user's own transforms make."""
        own = self.data.own_views
        return () if own is None else tuple(view for view in views if own.makes(view))

    def augment(self, raw: RawBatch, step: int) -> Batch:
        """The views that the algorithm asks for, as they are in that step."""
        generator = stream_generator(self.config.seed, "augmentation", step)
        positions = raw.labeled.positions.to(self.device, non_blocking=True)
        views = self._views(raw.labeled, self.algorithm.labeled_views, generator)
        labeled = Samples(views, positions, self.labels[positions])
        if raw.unlabeled is None:
            return Batch(labeled, None)
        views = self._views(raw.unlabeled, self.algorithm.unlabeled_views, generator)
        positions = raw.unlabeled.positions.to(self.device, non_blocking=True)
        return Batch(labeled, Samples(views, positions, None))

    def _order(self, name: str, part: Tensor, size: int) -> ShuffledIndex | WeightedIndex | RepeatedIndex:
        config, weights = self.config, self.config.class_weights
        order: ShuffledIndex | WeightedIndex
        if name == "labeled" and (config.balanced or weights):
            labels = self.data.train.labels[part]
            order = WeightedIndex(labels, weights, size, seed=config.seed, stream=name)
        else:
            order = ShuffledIndex(range(len(part)), size, seed=config.seed, stream=name)
        repeated = name == "labeled" and config.repeated_augmentation > 1
        return RepeatedIndex(order, config.repeated_augmentation) if repeated else order

    def _views(
        self, raw: RawSamples, names: tuple[str, ...], generator: torch.Generator
    ) -> dict[str, Tensor]:
        views: dict[str, Tensor] = {}
        if raw.images is not None:
            ours = tuple(name for name in names if name not in raw.views)
            channels_last = self.config.channels_last
            make = self.data.augmentation.views
            if self.policy is not None:
                make = partial(self.data.of_pixels.views, learned=self.policy)
            views = make(raw.images, ours, generator, channels_last=channels_last)
        layout = torch.channels_last if self.config.channels_last else torch.contiguous_format
        for name, view in raw.views.items():
            here = all_rows(view.to(self.device, non_blocking=True), len(raw.positions))
            views[name] = here.to(memory_format=layout)
        return {name: views[name] for name in names}

    def plain_labeled(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Normalized plain images of the labeled part and their labels, by the batch."""
        size = self.config.batch_size
        images = self.data.train.images.batches(iter(torch.split(self.labeled, size)), self.device)
        for batch, labels in zip(images, torch.split(self.labels, size), strict=True):
            yield self.data.augmentation.views(batch, ("plain",), torch.Generator())["plain"], labels


def images_per_step(algorithm: Algorithm, config: TrainConfig) -> int:
    """Augmented images in a step, all views counted."""
    per_labeled = len(algorithm.labeled_views) + algorithm.unlabeled_ratio * len(algorithm.unlabeled_views)
    return config.batch_size * per_labeled


def check_parts(algorithm: Algorithm, split: Split) -> None:
    """Raise where the split lacks what the algorithm needs."""
    name = type(algorithm).__name__
    if not split.labeled:
        raise UserError(f"{name} needs labeled images, got none: raise the number of labels")
    if algorithm.unlabeled_views:
        check_count("unlabeled_ratio", algorithm.unlabeled_ratio)
    if algorithm.unlabeled_views and not split.unlabeled:
        raise UserError(
            f"{name} needs unlabeled images, and every training image is labeled: choose fewer labels "
            "(`labels`, `label_rate`), give unlabeled images (`unlabeled`), or train "
            "'supervised' or 'fine-tuning'"
        )
