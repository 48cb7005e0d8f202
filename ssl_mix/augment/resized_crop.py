"""Random resized crops, a box of its own for each image of a batch."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

TRIES = 10


def sample_boxes(
    count: int,
    height: int,
    width: int,
    *,
    scale: tuple[float, float],
    ratio: tuple[float, float],
    generator: torch.Generator,
) -> Tensor:
    """Boxes (count, 4) as top, left, height, width in whole pixels, on the CPU.

    The area is uniform in ``scale`` (as a share of the image), the logarithm of width / height uniform
    between those of ``ratio``. Ten boxes are drawn for each image and the first one that fits is taken; where
    none does, the largest centered box with a ratio in range.
    """
    area = height * width * torch.empty(count, TRIES).uniform_(*scale, generator=generator)
    bounds = math.log(ratio[0]), math.log(ratio[1])
    aspect = torch.empty(count, TRIES).uniform_(*bounds, generator=generator).exp()
    widths, heights = (area * aspect).sqrt().round(), (area / aspect).sqrt().round()
    fits = (widths >= 1) & (heights >= 1) & (widths <= width) & (heights <= height)
    first = fits.float().argmax(1, keepdim=True)
    w, h = widths.gather(1, first)[:, 0], heights.gather(1, first)[:, 0]
    whole = min(max(width / height, ratio[0]), ratio[1])
    found = fits.any(1)
    w = w.where(found, torch.tensor(float(min(width, round(height * whole)))))
    h = h.where(found, torch.tensor(float(min(height, round(width / whole)))))
    room = torch.stack((height - h, width - w))
    place = (torch.rand(2, count, generator=generator) * (room + 1)).floor().minimum(room)
    top, left = place.where(found, (room / 2).floor())
    return torch.stack((top, left, h, w), dim=1)


def random_resized_crop(
    images: Tensor,
    *,
    scale: tuple[float, float] = (0.08, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
    size: int | None = None,
    generator: torch.Generator,
) -> Tensor:
    """Cut a random box out of each image and resize it, bilinearly, to the size of the image or to ``size``.

    Args:
        images: (N, C, H, W) uint8; left as they are.
        scale: range of the box's area as a share of the image.
        ratio: range of the box's width over its height.
        size: side of the results; default: the sides of the images.
        generator: on the CPU.

    Source: Szegedy et al., "Going Deeper with Convolutions" (CVPR 2015), as in torchvision's
    ``RandomResizedCrop``. Differs: the box is cut out of the stored image and never antialiased. Without
    ``size`` it is only ever enlarged, which needs no antialiasing. With it a box larger than ``size`` is
    reduced by reading between its pixels, by at most stored side / ``size``: harmless for the usual 256 to
    224, but from about twice ``size`` on fine detail turns into patterns.
    """
    height, width = images.shape[2:]
    boxes = sample_boxes(len(images), height, width, scale=scale, ratio=ratio, generator=generator)
    theta = box_transforms(boxes, height, width).to(images.device, non_blocking=True)
    result = [*images.shape[:2], size or height, size or width]
    grid = F.affine_grid(theta, result, align_corners=False)
    cut = F.grid_sample(images.float(), grid, padding_mode="border", align_corners=False)
    return cut.round_().clamp_(0, 255).to(torch.uint8)


def zoom_(images: Tensor, margin: Tensor) -> None:
    """Enlarge the center to the size of the image, bilinearly: what CTAugment calls rescale.

    Args:
        images: (N, C, H, W) uint8; overwritten.
        margin: that is cut off at each side, as a share of it, (N,) float32 below 1/2.
    """
    theta = torch.eye(2, 3, device=images.device) * (1 - 2 * margin)[:, None, None]
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    cut = F.grid_sample(images.float(), grid, padding_mode="border", align_corners=False)
    images.copy_(cut.round_().clamp_(0, 255))


def box_transforms(boxes: Tensor, height: int, width: int) -> Tensor:
    """For ``F.affine_grid``, (count, 2, 3): from coordinates within each box (count, 4), in [-1, 1], to those
    of the image."""
    top, left, h, w = boxes.unbind(1)
    theta = torch.zeros(len(boxes), 2, 3)
    theta[:, 0, 0], theta[:, 0, 2] = w / width, (2 * left + w) / width - 1
    theta[:, 1, 1], theta[:, 1, 2] = h / height, (2 * top + h) / height - 1
    return theta
