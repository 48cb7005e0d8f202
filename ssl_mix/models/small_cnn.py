"""A small convolutional network for images of 8 to 32 pixels."""

import torch.nn.functional as F
from torch import Tensor, nn

from ssl_mix.errors import check_count
from ssl_mix.transfer.heads import new_head


class SmallCNN(nn.Module):
    """Small convolutional network, for images from 8 pixels on.

    Three 3 x 3 convolutions (32, 64, 64 channels) with batch norm and ReLU, halved twice, average-pooled.
    About 57,000 parameters: enough for 8 x 8 digits, and quick on a CPU.

    Args:
        num_classes: C, logits per image.
        channels: of the images.
    """

    hidden_layers = ("blocks.2", "blocks.5", "blocks.8")

    def __init__(self, num_classes: int, *, channels: int = 3) -> None:
        super().__init__()
        check_count("num_classes", num_classes)
        check_count("channels", channels)
        layers: list[nn.Module] = []
        for inputs, outputs, stride in ((channels, 32, 1), (32, 64, 2), (64, 64, 2)):
            layers += [
                nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False),
                nn.BatchNorm2d(outputs),
                nn.ReLU(inplace=True),
            ]
        self.blocks = nn.Sequential(*layers)
        self.head = new_head(64, num_classes)

    def features(self, x: Tensor) -> Tensor:
        """Pooled features (N, 64) of images (N, C, H, W)."""
        return F.adaptive_avg_pool2d(self.blocks(x), 1).flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, num_classes) of images (N, C, H, W)."""
        logits: Tensor = self.head(self.features(x))
        return logits
