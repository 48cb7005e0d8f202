"""What a step sees: which images, in which order, in which views."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from ssl_mix.algorithm import Algorithm
from ssl_mix.datasets import DataSet, ShuffledIndex, Split
from ssl_mix.engine.config import TrainConfig
from ssl_mix.errors import UserError, check_count
from ssl_mix.randomness import stream_generator
from ssl_mix.types import Batch, Samples


class RawBatch(NamedTuple):
    """The images of one step as they are stored: uint8 on the device, positions on the CPU."""

    labeled: Tensor
    labeled_positions: Tensor
    unlabeled: Tensor | None
    unlabeled_positions: Tensor | None


class Feed:
    """Draws indices, gathers uint8 images on the device and augments them. All draws are functions of (seed,
    step).

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
        shape: (C, H, W) of what the network sees.
    """

    def __init__(
        self, algorithm: Algorithm, data: DataSet, split: Split, config: TrainConfig, device: torch.device
    ) -> None:
        check_parts(algorithm, split)
        self.algorithm, self.data, self.config, self.device = algorithm, data, config, device
        self.labeled = torch.tensor(split.labeled)
        self.unlabeled = torch.tensor(split.unlabeled, dtype=torch.int64)
        self.labels = data.train.labels[self.labeled].to(device)
        self.shape = data.augmentation.seen(data.train.images.shape)

    @property
    def images_per_step(self) -> int:
        """Augmented images in a step, all views counted."""
        per_labeled = len(self.algorithm.labeled_views)
        per_labeled += self.algorithm.unlabeled_ratio * len(self.algorithm.unlabeled_views)
        return self.config.batch_size * per_labeled

    def batches(self, start: int) -> Iterator[RawBatch]:
        """Raw batches from step ``start`` on, without end."""
        labeled = self._stream("labeled", self.labeled, self.config.batch_size, start)
        if not self.algorithm.unlabeled_views:
            yield from (RawBatch(images, positions, None, None) for images, positions in labeled)
            return
        size = self.config.batch_size * self.algorithm.unlabeled_ratio
        unlabeled = self._stream("unlabeled", self.unlabeled, size, start)
        yield from (RawBatch(*first, *second) for first, second in zip(labeled, unlabeled, strict=True))

    def _stream(self, name: str, part: Tensor, size: int, start: int) -> Iterator[tuple[Tensor, Tensor]]:
        order = ShuffledIndex(range(len(part)), size, seed=self.config.seed, stream=name)
        wanted = (part[positions] for positions in order.from_step(start))
        return zip(self.data.train.images.batches(wanted, self.device), order.from_step(start), strict=True)

    def augment(self, raw: RawBatch, step: int) -> Batch:
        """The views that the algorithm asks for, as they are in that step."""
        generator = stream_generator(self.config.seed, "augmentation", step)
        positions = raw.labeled_positions.to(self.device, non_blocking=True)
        views = self._views(raw.labeled, self.algorithm.labeled_views, generator)
        labeled = Samples(views, positions, self.labels[positions])
        if raw.unlabeled is None or raw.unlabeled_positions is None:
            return Batch(labeled, None)
        views = self._views(raw.unlabeled, self.algorithm.unlabeled_views, generator)
        return Batch(
            labeled, Samples(views, raw.unlabeled_positions.to(self.device, non_blocking=True), None)
        )

    def _views(self, images: Tensor, names: tuple[str, ...], generator: torch.Generator) -> dict[str, Tensor]:
        return self.data.augmentation.views(images, names, generator, channels_last=self.config.channels_last)

    def plain_labeled(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Normalized plain images of the labeled part and their labels, by the batch."""
        size = self.config.batch_size
        images = self.data.train.images.batches(iter(torch.split(self.labeled, size)), self.device)
        for batch, labels in zip(images, torch.split(self.labels, size), strict=True):
            yield self.data.augmentation.views(batch, ("plain",), torch.Generator())["plain"], labels


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
            "(labels, label_rate), give unlabeled images (unlabeled), or train "
            "'supervised' or 'fine-tuning'"
        )
