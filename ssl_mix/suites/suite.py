"""What a suite of measurements is, and what it looks at."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from matplotlib.figure import Figure
from torch import Tensor

from ssl_mix.evaluation.accuracy import CHUNK, at_once
from ssl_mix.runs.answered import Answered
from ssl_mix.runs.data_options import Progress


@dataclass(frozen=True)
class SuiteOptions:
    """What suites look at besides the test part.

    Args:
        limit: images that suites look at which change them again and again, drawn by ``suite_seed``.
        suite_seed: of whatever a suite draws.
        ood: images of no class of the run, for the suite of that name: a folder, or the name of a data set,
            whose test part is taken.
    """

    limit: int = 1000
    suite_seed: int = 0
    ood: str | None = None


DEFAULTS = SuiteOptions()


@dataclass(frozen=True)
class Scene:
    """A trained run and the answers to its test part.

    Attributes:
        answered: images, labels and logits.
        options: of suites.
        progress: told what is being done, how much of it is done, and how much there is.
    """

    answered: Answered
    options: SuiteOptions = DEFAULTS
    progress: Progress | None = None

    def sample(self) -> Tensor:
        """Rows of the labels and logits to look at where all would take too long, (n,) int64 in order."""
        count = len(self.answered.labels)
        if count <= self.options.limit:
            return torch.arange(count)
        generator = torch.Generator().manual_seed(self.options.suite_seed)
        return torch.randperm(count, generator=generator)[: self.options.limit].sort().values

    def batches(self, rows: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """The stored test images (n, C, H, W) uint8 of ``rows``, on the device of the network, with their
        labels (n,)."""
        found, device = self.answered, self.answered.trained.device
        chunks = torch.split(rows, at_once(found.images.shape, CHUNK[device.type]))
        positions = (found.positions[chunk] for chunk in chunks)
        for chunk, images in zip(chunks, found.images.batches(positions, device), strict=True):
            yield images, found.labels[chunk].to(device)

    @torch.inference_mode()
    def logits(self, images: Tensor) -> Tensor:
        """(n, C) float32 of stored images (n, C, H, W) uint8, altered or not."""
        trained = self.answered.trained
        seen = trained.augmentation.normalize(trained.augmentation.plain(images))
        logits: Tensor = self.answered.of_columns(trained.net(seen))
        return logits.float()


class Suite(NamedTuple):
    """Measurements that belong together.

    Attributes:
        about: what it says, in a line.
        measure: the numbers, ready for JSON, and nothing else is kept of it.
        rows: those in words, each with its value, unit and number of images.
        draw: a figure of the numbers, if they make one.
    """

    about: str
    measure: Callable[[Scene], dict[str, Any]]
    rows: Callable[[dict[str, Any]], list[tuple[str, str]]]
    draw: Callable[[dict[str, Any]], Figure | None]
