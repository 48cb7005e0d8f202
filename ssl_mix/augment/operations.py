"""Picture operations on uint8 batches (N, C, H, W), one parameter per picture, each as Pillow computes it."""

import torch
from torch import Tensor


def _column(values: Tensor) -> Tensor:
    """(N,) as (N, 1, 1, 1)."""
    return values[:, None, None, None]


def _blend(degenerate: Tensor, images: Tensor, factor: Tensor) -> Tensor:
    """``degenerate + factor * (images - degenerate)``, cut to [0, 255] and truncated, as ``Image.blend``."""
    return ((images - degenerate).mul_(_column(factor)).add_(degenerate)).clamp_(0, 255).to(torch.uint8)


def grey(images: Tensor) -> Tensor:
    """Luma by Pillow's integer weights, (N, 1, H, W) int32; the picture itself where it has one channel."""
    if images.shape[1] == 1:
        return images.int()
    red, green, blue = images.int().unbind(1)
    return ((19595 * red + 38470 * green + 7471 * blue + 0x8000) >> 16)[:, None]


def brightness(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with black; factor 1 is the picture."""
    return (images * _column(factor)).clamp_(max=255).to(torch.uint8)


def color(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with the grey picture."""
    return _blend(grey(images).float(), images, factor)


def contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with the rounded mean of the grey picture."""
    mean = (grey(images).float().mean(dim=(1, 2, 3)) + 0.5).floor()
    return _blend(_column(mean), images, factor)


def sharpness(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with the smoothed picture: 3 x 3 weights 1, centre 5, over 13; the border stays."""
    wide = images.to(torch.int16)
    rows = wide[:, :, :-2] + wide[:, :, 1:-1] + wide[:, :, 2:]
    total = rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:] + 4 * wide[:, :, 1:-1, 1:-1]
    smooth = images.clone()
    smooth[:, :, 1:-1, 1:-1] = ((2 * total + 13) // 26).to(torch.uint8)
    return _blend(smooth.float(), images, factor)


def posterize(images: Tensor, bits: Tensor) -> Tensor:
    """Keep the highest ``bits`` bits (0 to 8) of each value."""
    return images & _column(256 - 2 ** (8 - bits.long())).to(torch.uint8)


def solarize(images: Tensor, threshold: Tensor) -> Tensor:
    """Invert values at or above ``threshold``."""
    return torch.where(images >= _column(threshold), ~images, images)


def autocontrast(images: Tensor) -> Tensor:
    """Stretch each channel to the full range; flat channels stay."""
    low = images.amin(dim=(2, 3), keepdim=True).double()
    high = images.amax(dim=(2, 3), keepdim=True).double()
    scale = torch.full_like(low, 255) / (high - low).clamp(
        min=1
    )  # 255 / x would be 255 * (1 / x): other last bits
    stretched = (images * scale - low * scale).clamp_(0, 255).to(torch.uint8)
    return torch.where(high > low, stretched, images)


def equalize(images: Tensor) -> Tensor:
    """Flatten each channel's histogram; channels of one value, or with too few other pixels, stay."""
    flat = images.flatten(2).long()
    counts = torch.zeros(*flat.shape[:2], 256, dtype=torch.int64, device=images.device)
    counts.scatter_add_(2, flat, torch.ones_like(flat))
    highest = flat.amax(dim=2, keepdim=True)
    step = (flat.shape[2] - counts.gather(2, highest)) // 255
    before = counts.cumsum(2) - counts
    table = ((step // 2 + before) // step.clamp(min=1)).clamp_(max=255).to(torch.uint8)
    table = torch.where(step > 0, table, torch.arange(256, device=images.device, dtype=torch.uint8))
    return table.gather(2, flat).view(images.shape)


def affine(images: Tensor, matrices: Tensor) -> Tensor:
    """Nearest-neighbour affine transform with black outside.

    Args:
        images: (N, C, H, W) uint8.
        matrices: (N, 6) float (a, b, c, d, e, f): output pixel centre (x, y) shows input position (a x + b y + c, d x + e y + f).
    """
    height, width = images.shape[2:]
    y, x = torch.meshgrid(
        torch.arange(height, device=images.device) + 0.5,
        torch.arange(width, device=images.device) + 0.5,
        indexing="ij",
    )
    a, b, c, d, e, f = matrices[:, :, None, None].unbind(1)
    column, row = (a * x + b * y + c).floor(), (d * x + e * y + f).floor()
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    pixels = (row * width + column).long().where(inside, 0).flatten(1)
    flat = images.flatten(2)
    moved = flat.gather(2, pixels[:, None].expand(-1, flat.shape[1], -1)).view(images.shape)
    return moved * inside[:, None]
