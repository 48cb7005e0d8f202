"""Which pixels of an image stand out, by the image alone and by what a network makes of it."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssl_mix.mixers.frozen_net import frozen, network_input

RADII = (12, 24, 28, 48, 56, 112)


def window_sums(gray: Tensor, radii: tuple[int, ...]) -> Iterator[tuple[Tensor, Tensor]]:
    """For each radius the sums over the square windows around each pixel, clipped at the borders, and their
    numbers of pixels.

    From sums of all pixels above and to the left; these are extended beyond the borders, so that every window
    is a slice.

    Args:
        gray: (N, H, W).
        radii: of the windows, in pixels.

    Yields:
        (N, H, W) and (H, W) float32.
    """
    sides = gray.shape[1:]
    height, width = sides
    reach = [min(max(radii), side) for side in sides]
    integral = F.pad(gray.cumsum(1).cumsum(2), (1, 0, 1, 0))
    integral = F.pad(integral, (reach[1], reach[1], reach[0], reach[0]), mode="replicate")
    for radius in radii:
        ends, counts = [], []
        for side, beyond in zip(sides, reach, strict=True):
            inside = min(radius, side)
            ends.append((beyond - inside, beyond + inside + 1))
            pixel = torch.arange(side, device=gray.device)
            counts.append((pixel + inside + 1).clamp(max=side) - (pixel - inside).clamp(min=0))
        (top, bottom), (left, right) = ends
        strips = integral[:, bottom : bottom + height] - integral[:, top : top + height]
        yield (
            strips[:, :, right : right + width] - strips[:, :, left : left + width],
            (counts[0][:, None] * counts[1]).float(),
        )


def smoothed(gray: Tensor) -> Tensor:
    """Images (N, H, W) after two blurs by (1, 2, 1) / 4 in both directions, the borders repeated."""
    for axis in (1, 2, 1, 2):
        padded = F.pad(gray[:, None], (1, 1, 0, 0) if axis == 2 else (0, 0, 1, 1), mode="replicate")[:, 0]
        side = gray.shape[axis]
        before, after = padded.narrow(axis, 0, side), padded.narrow(axis, 2, side)
        gray = gray / 2 + (before + after) / 4
    return gray


def fine_grained_saliency(images: Tensor, *, step: int = 1) -> Tensor:
    """How far each pixel is from the mean of its surroundings, summed over six sizes of surroundings.

    ``sum_r |g - mean of the other pixels in the window of radius r|`` with g the mean of the channels,
    blurred twice, and r = 12, 24, 28, 48, 56, 112 pixels, clipped at the borders. The whole batch at once, on
    the device of the images.

    Args:
        images: (N, C, H, W), any number of channels, any dtype.
        step: look at the means of squares of so many pixels instead, with radii in proportion.

    Returns:
        (N, H // step, W // step) float32, not negative.

    Source: Montabone & Soto, "Human detection using a mobile platform and novel features derived from a
    visual saliency mechanism" (2010). Differs from OpenCV's StaticSaliencyFineGrained, which rounds to 8 bits
    at every scale, and stretches bright and dark spots to the same maximum: here the stronger contrast has
    the larger value.
    """
    gray = images.mean(1, dtype=torch.float32)
    gray = smoothed(F.avg_pool2d(gray, step) if step > 1 else gray)
    gray = gray - gray.mean((1, 2), keepdim=True)  # Small numbers, so that the sums keep their digits.
    saliency = torch.zeros_like(gray)
    for sums, count in window_sums(gray, tuple(round(radius / step) for radius in RADII)):
        others = (count - 1).clamp(min=1)
        saliency += torch.addcmul(sums / others, gray, count / others, value=-1).abs()
    return saliency


@torch.inference_mode(False)
@torch.enable_grad()
def gradient_saliency(net: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """How much each pixel moves the cross entropy (binary for multi-label) of a network: ``sqrt(mean_c (dL /
    dx)^2)``.

    One forward and one backward pass in eval mode, also within ``no_grad`` and ``inference_mode``. No
    ``.grad`` of any parameter is touched, and the network is left as it was.

    Args:
        net: from images to logits.
        images: (N, C, H, W) float.
        labels: (N,) int64, or (N, C) float.

    Returns:
        (N, H, W) float32, not negative.
    """
    # Copies: no gradient passes through tensors made in inference mode.
    pictures = network_input(net, images).detach().clone().requires_grad_()
    with frozen(net):
        logits, wanted = net(pictures).float(), labels.clone()
        if wanted.is_floating_point():
            loss = F.binary_cross_entropy_with_logits(logits, wanted.to(logits.dtype), reduction="sum")
        else:
            loss = F.cross_entropy(logits, wanted, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, pictures)
    return gradient.float().square().mean(1).sqrt()
