"""What a suite of measurements is, and what it looks at."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from ssl_mix.errors import UserError, check_count, check_seed
from ssl_mix.evaluation.accuracy import CHUNK, at_once
from ssl_mix.mixers import MixerName
from ssl_mix.runs.answered import Answered
from ssl_mix.runs.data_options import Progress

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class SuiteOptions:
    """What suites look at besides the test part.

    Args:
        limit: images that suites look at which change them again and again, drawn by ``suite_seed``.
        suite_seed: of whatever a suite draws.
        ood: images of no class of the run, for the suite of that name: a folder, or the name of a data set,
            whose test part is taken.
        shifted: folder with files of CIFAR-10-C or CIFAR-100-C (gaussian_noise.npy ... and labels.npy),
            CIFAR-10.1 (cifar10.1_v6_data.npy and cifar10.1_v6_labels.npy) or CIFAR-10.2 (cifar102_test.npz).
        masks: folder of masks, for the suite attention: PNGs of the numbers of classes, 0 for the background
            and 255 for what does not count, named like the test images; or one of Pascal's layout, with
            JPEGImages and SegmentationClass.
        boxes: folder of XML files with boxes as ImageNet and Pascal have them, named like the test images, or
            with JPEGImages beside them, for the same suite.
        attention_mass: share of the attention that its masks are to hold.
        mixed_mixer: which mixer the suite mixed looks at.
    """

    limit: int = 1000
    suite_seed: int = 0
    ood: str | None = None
    shifted: str | None = None
    masks: str | None = None
    boxes: str | None = None
    attention_mass: float = 0.6
    mixed_mixer: MixerName = "mixup"

    def check(self) -> None:
        """Raise unless every number can be used."""
        check_count("limit", self.limit)
        check_seed("suite_seed", self.suite_seed)
        if not 0 < self.attention_mass <= 1:
            raise UserError(f"attention_mass must lie in (0, 1], got {self.attention_mass}")


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
        generator = torch.Generator().manual_seed(int(self.options.suite_seed))
        return torch.randperm(count, generator=generator)[: self.options.limit].sort().values

    def batches(self, rows: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """What the network sees of the test images of ``rows``, (n, C, H, W) uint8, on its device, with their
        labels (n,)."""
        found, device = self.answered, self.answered.trained.device
        chunks = torch.split(rows, at_once(found.images.shape, CHUNK[device.type]))
        positions = (found.positions[chunk] for chunk in chunks)
        for chunk, images in zip(chunks, found.images.batches(positions, device), strict=True):
            yield found.trained.augmentation.plain(images), found.labels[chunk].to(device)

    def normalized(self, images: Tensor) -> Tensor:
        """What the network is given of images (n, C, H, W) uint8 as it sees them."""
        return self.answered.trained.augmentation.normalize(images)

    @torch.inference_mode()
    def logits(self, images: Tensor) -> Tensor:
        """(n, C) float32 of images (n, C, H, W) as the network sees them, uint8, altered or not; floats are
        normalized already."""
        trained = self.answered.trained
        seen = images if images.is_floating_point() else self.normalized(images)
        logits: Tensor = self.answered.of_columns(trained.net(seen))
        return logits.float()

    def right(self, images: Tensor, labels: Tensor) -> int:
        """How many of such images have their label for the likeliest class."""
        return int((self.logits(images).argmax(dim=1) == labels).sum())

    def tell(self, what: str, done: int, total: int) -> None:
        """Say how far a suite is."""
        if self.progress is not None:
            self.progress(what, done, total)


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
    draw: Callable[[dict[str, Any]], "Figure | None"]
