"""PreActResNet-18 for 32 x 32 images, the network of the mixup papers."""

import torch.nn.functional as F
from torch import Tensor, nn

from ssl_mix.errors import check_count
from ssl_mix.transfer.heads import new_head

WIDTHS = (64, 128, 256, 512)


def _convolution(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)


class _Block(nn.Module):
    """Two pre-activated 3 x 3 convolutions; a shortcut that changes size reads the activated input."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inputs)
        self.conv1 = _convolution(inputs, outputs, 3, stride)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.conv2 = _convolution(outputs, outputs, 3)
        self.changes = inputs != outputs
        self.shortcut = _convolution(inputs, outputs, 1, stride) if self.changes else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        activated = F.relu(self.norm1(x), inplace=False)
        residual = self.conv2(F.relu(self.norm2(self.conv1(activated)), inplace=True))
        out: Tensor = residual + self.shortcut(activated if self.changes else x)
        return out


class PreActResNet18(nn.Module):
    """PreActResNet-18, for 32 x 32 images: four stages of two blocks with 64, 128, 256 and 512 channels.

    Args:
        num_classes: C, logits per image.
        channels: of the images, 1 or 3.

    Source: He et al., "Identity Mappings in Deep Residual Networks" (ECCV 2016), in the CIFAR form of the
    mixup papers. Like the paper and unlike the port behind many published numbers, the last stage is
    normalized and activated before it is pooled.
    """

    hidden_layers = ("stages.0", "stages.1", "stages.2", "stages.3")

    def __init__(self, num_classes: int, *, channels: int = 3) -> None:
        super().__init__()
        check_count("num_classes", num_classes)
        check_count("channels", channels)
        self.stem = _convolution(channels, WIDTHS[0], 3)
        stages, inputs = [], WIDTHS[0]
        for number, outputs in enumerate(WIDTHS):
            stages.append(
                nn.Sequential(_Block(inputs, outputs, 2 if number else 1), _Block(outputs, outputs, 1))
            )
            inputs = outputs
        self.stages = nn.Sequential(*stages)
        self.norm = nn.BatchNorm2d(inputs)
        self.head = new_head(inputs, num_classes)

    def features(self, x: Tensor) -> Tensor:
        """Pooled features (N, 512) of images (N, C, H, W)."""
        return F.relu(self.norm(self.stages(self.stem(x))), inplace=True).mean(dim=(2, 3))

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, num_classes) of images (N, C, H, W)."""
        logits: Tensor = self.head(self.features(x))
        return logits
