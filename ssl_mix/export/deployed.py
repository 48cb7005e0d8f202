"""A trained network with everything around it that is not its weights: from pixels to probabilities."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ssl_mix.datasets.decode import Fit
from ssl_mix.runs.trained import TrainedRun

Kind = Literal["ssl-mix export 1"]
KEY = "ssl_mix"  # of the metadata


@dataclass(frozen=True)
class About:
    """What one must know of an exported network, as its metadata hold it.

    Attributes:
        classes: names, in the order of the probabilities.
        channels: of the images.
        stored_size: side in pixels of the square images that the network takes.
        fit: how an image is made square: "cut" or "squash".
        size: side of the central square of those that it looks at.
        mean: of the channels, in [0, 1], which is subtracted.
        std: by which they are divided then.
        temperature: by which logits are divided before the softmax.
        algorithm: that trained it.
        step: after which its weights were so.
        int8: how its weights came to 8 bits; None where they have 32.
        accuracy_before_int8: of the run on its test images, then.
        accuracy_int8: of the network of 8 bits on those.
        format: of this description.
    """

    classes: tuple[str, ...]
    channels: int
    stored_size: int
    fit: Fit
    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    temperature: float
    algorithm: str
    step: int
    int8: str | None = None
    accuracy_before_int8: float | None = None
    accuracy_int8: float | None = None
    format: Kind = "ssl-mix export 1"

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def about(trained: TrainedRun, algorithm: str, temperature: float = 1.0) -> About:
    """The description of a trained run."""
    return About(
        classes=trained.classes,
        channels=trained.shape[0],
        stored_size=trained.stored_size,
        fit=trained.run.data.fit,
        size=trained.shape[1],
        mean=trained.augmentation.mean,
        std=trained.augmentation.std,
        temperature=temperature,
        algorithm=algorithm,
        step=trained.step,
    )


class Deployed(nn.Module):
    """Images (N, C, S, S) uint8, S the stored size, to class probabilities (N, K) float32:
    ``softmax(net((crop(images) / 255 - mean) / std) / temperature)``.

    Args:
        net: returns logits; put into evaluation mode.
        described: what belongs around it.
    """

    scale: Tensor
    offset: Tensor

    def __init__(self, net: nn.Module, described: About) -> None:
        super().__init__()
        self.net, self.temperature = net, described.temperature
        first = round((described.stored_size - described.size) / 2)
        self.seen = slice(first, first + described.size)
        std = torch.tensor(described.std).view(-1, 1, 1)
        self.register_buffer("scale", 1 / (255 * std))
        self.register_buffer("offset", -torch.tensor(described.mean).view(-1, 1, 1) / std)
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Probabilities (N, K) of images (N, C, S, S) uint8."""
        seen = images[:, :, self.seen, self.seen].float() * self.scale + self.offset
        logits: Tensor = self.net(seen)
        return (logits.float() / self.temperature).softmax(dim=1)
