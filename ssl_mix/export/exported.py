"""An exported network that classifies images as a run does."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from ssl_mix.datasets.originals import Form
from ssl_mix.export.graphs import Run, read_graph


class AsItIs:
    """The views of images that need nothing done to them: the exported network does it itself."""

    flip = False

    def seen(self, shape: tuple[int, int, int]) -> tuple[int, int, int]:
        """The same."""
        return shape

    def plain(self, images: Tensor) -> Tensor:
        """The same."""
        return images

    def normalize(self, images: Tensor, *, channels_last: bool = False) -> Tensor:
        """The same."""
        del channels_last
        return images

    def views(
        self, images: Tensor, names: Sequence[str], generator: torch.Generator, *, channels_last: bool = False
    ) -> dict[str, Tensor]:
        """The same under every name."""
        del generator, channels_last
        return dict.fromkeys(names, images)


class LogProbabilities(nn.Module):
    """Logarithms of the probabilities that a graph gives: logits of the same softmax."""

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.held = (run,)  # in a tuple a graph is no part of this module, whose mode it cannot change

    def forward(self, images: Tensor) -> Tensor:
        """(N, K) of images (N, C, S, S) uint8."""
        [run] = self.held
        return run(images).log()


class Exported:
    """What stands in the place of a run where a file is given.

    Attributes:
        net: logits of stored images.
        about: its description.
        classes: names.
        form: how images are stored.
        augmentation: none.
        device: the CPU.
    """

    def __init__(self, path: Path) -> None:
        run, self.about = read_graph(path)
        self.net: nn.Module = LogProbabilities(run)
        self.classes = self.about.classes
        self.form = Form(self.about.stored_size, self.about.channels, self.about.fit)
        self.augmentation = AsItIs()
        self.device = torch.device("cpu")
