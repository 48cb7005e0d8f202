"""Wide residual networks for 32 x 32 images, as semi-supervised benchmarks use them."""

from typing import Literal, get_args

import torch.nn.functional as F
from torch import Tensor, nn

from ssl_mix.errors import check_choice, check_count

FirstBlock = Literal["activated", "raw"]
SLOPE = 0.1


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)


def _convolution(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    layer = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return layer


class _Block(nn.Module):
    """Two pre-activated 3 x 3 convolutions with a shortcut.

    ``shared``: the activated input feeds the shortcut too (first stage). ``raw``: where channels change, the
    first convolution gets the un-normalized input, as the PyTorch ports do.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, *, shared: bool, raw: bool) -> None:
        super().__init__()
        widens = inputs != outputs
        self.shared, self.raw = shared and widens, raw and widens and not shared
        if not self.raw:
            self.norm1 = _norm(inputs)
        self.conv1 = _convolution(inputs, outputs, 3, stride)
        self.norm2 = _norm(outputs)
        self.conv2 = _convolution(outputs, outputs, 3)
        self.shortcut = _convolution(inputs, outputs, 1, stride) if widens else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        activated = x if self.raw else F.leaky_relu(self.norm1(x), SLOPE, inplace=True)
        residual = self.conv2(F.leaky_relu(self.norm2(self.conv1(activated)), SLOPE, inplace=True))
        out: Tensor = residual + self.shortcut(activated if self.shared else x)
        return out


class WideResNet(nn.Module):
    """Wide residual network WRN-28-K, for images from 32 pixels on: wrn-28-2, wrn-28-8, wrn-28-10.

    Three stages of four blocks with 16K, 32K, 64K channels, leaky ReLU 0.1, batch norm, global average
    pooling. The head begins as published, for training from nothing: weights normal with variance
    2 / (64K + C) (Xavier), biases 0. A head that replaces it is :func:`ssl_mix.transfer.heads.new_head`.

    Args:
        width: K.
        num_classes: C, logits per image.
        channels: of the images, 1 or 3.
        first_block: what the first convolution of stages two and three reads. "activated": the normalized,
            activated input, as in the original TensorFlow code. "raw": the un-normalized input, as in the
            PyTorch ports behind most published numbers.

    Source: Zagoruyko & Komodakis, "Wide Residual Networks" (BMVC 2016), in the variant of
    google-research/mixmatch. Differs from the PyTorch ports: convolutions have no bias (batch norm follows),
    and "raw" blocks carry no batch norm that is never used.
    """

    hidden_layers = ("blocks.3", "blocks.7", "blocks.11")

    def __init__(
        self,
        width: int,
        num_classes: int,
        *,
        channels: int = 3,
        first_block: FirstBlock = "activated",
    ) -> None:
        super().__init__()
        check_count("width", width)
        check_count("num_classes", num_classes)
        check_count("channels", channels)
        check_choice("first_block", first_block, get_args(FirstBlock))
        widths = [16, 16 * width, 32 * width, 64 * width]
        self.stem = _convolution(channels, widths[0], 3)
        blocks: list[nn.Module] = []
        for stage, (inputs, outputs) in enumerate(zip(widths, widths[1:], strict=False)):
            for position in range(4):
                blocks.append(
                    _Block(
                        inputs if position == 0 else outputs,
                        outputs,
                        stride=2 if stage > 0 and position == 0 else 1,
                        shared=stage == 0,
                        raw=first_block == "raw",
                    )
                )
        self.blocks = nn.Sequential(*blocks)
        self.norm = _norm(widths[-1])
        self.head = nn.Linear(widths[-1], num_classes)
        nn.init.xavier_normal_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def features(self, x: Tensor) -> Tensor:
        """Pooled features (N, 64K) of images (N, C, H, W)."""
        return F.leaky_relu(self.norm(self.blocks(self.stem(x))), SLOPE, inplace=True).mean(dim=(2, 3))

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, num_classes) of images (N, C, H, W)."""
        logits: Tensor = self.head(self.features(x))
        return logits
