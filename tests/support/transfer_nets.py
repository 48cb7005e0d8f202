"""Networks small enough for a reference in NumPy to be whole, batch norm included."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

CLASSES, WIDTH, PIXELS = 5, 6, 48


class Bent(nn.Module):
    """Features tanh(norm(body(pixels))); keeps what it was shown."""

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        self.body = nn.Linear(PIXELS, width, bias=False)
        self.norm = nn.BatchNorm1d(width)
        self.head = nn.Linear(width, CLASSES)
        self.shown: list[NDArray[Any]] = []

    def features(self, pictures: Tensor) -> Tensor:
        self.shown.append(pictures.detach().numpy().copy())
        return torch.tanh(self.norm(self.body(pictures.flatten(1))))

    def forward(self, pictures: Tensor) -> Tensor:
        return self.head(self.features(pictures))


class Block(nn.Module):
    """A residual block; the shortcut's convolution is the last of its modules."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(4, 6, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(6)
        self.conv2 = nn.Conv2d(6, 5, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(5)
        self.downsample = nn.Sequential(nn.Conv2d(4, 5, 1, bias=False), nn.BatchNorm2d(5))

    def forward(self, x: Tensor) -> Tensor:
        inner = torch.tanh(self.norm1(self.conv1(x)))
        return torch.tanh(self.norm2(self.conv2(inner)) + self.downsample(x))


class Convolutional(nn.Module):
    """A plain stage and a residual one, average-pooled."""

    hidden_layers = ("first", "second")

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.Tanh())
        self.second = Block()
        self.head = nn.Linear(5, CLASSES)

    def features(self, pictures: Tensor) -> Tensor:
        return self.second(self.first(pictures)).mean(dim=(2, 3))

    def forward(self, pictures: Tensor) -> Tensor:
        return self.head(self.features(pictures))


def shaken(net: Any, draw: np.random.Generator, scale: float = 1.0) -> Any:
    """Random weights for every parameter and running statistic, in float64."""
    net.double()
    for name, value in net.state_dict().items():
        if name.endswith("running_var"):
            value.copy_(torch.from_numpy(draw.uniform(0.5, 2, value.shape)))
        elif value.is_floating_point():
            spread = scale / max(1, value[0].numel()) ** 0.5 if value.ndim > 1 else 0.5
            value.copy_(torch.from_numpy(spread * draw.standard_normal(value.shape)))
    for module in net.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.weight.data += 1
    return net


def weights_of(net: Any) -> dict[str, NDArray[Any]]:
    """Parameters and running statistics as NumPy arrays."""
    return {n: v.detach().numpy().copy() for n, v in net.state_dict().items() if v.is_floating_point()}
