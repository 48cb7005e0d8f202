"""Images without some of their patches, and with their patches in another order."""

from typing import Literal, get_args

import torch
from torch import Tensor

from ssl_mix.augment.checks import check_images
from ssl_mix.errors import UserError, check_choice, check_count, check_share
from ssl_mix.evaluation.values import check_values
from ssl_mix.mixers._common import sample_uniform
from ssl_mix.mixers.cells import cell_of_pixel, spread
from ssl_mix.mixers.saliency import fine_grained_saliency

DropOrder = Literal["random", "salient", "nonsalient", "center"]


def patch_drop(
    images: Tensor,
    share: float,
    grid: int,
    *,
    order: DropOrder = "random",
    saliency: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Images with ``round(share grid^2)`` of their ``grid x grid`` patches black.

    Args:
        images: (N, C, H, W) of any dtype, not yet normalized, so that 0 is black.
        share: of the patches, in [0, 1].
        grid: patches in a row and in a column; 14 for 224 pixels in the paper. Sides need not be multiples of
            it: some patches are then a pixel larger than others.
        order: which patches go first: "random", another choice for each image; those that are most "salient"
            (the foreground) or least ("nonsalient", the background), by the mean over the patch; or those
            nearest to the "center".
        saliency: (N, H, W) by pixel, attention of a network for one; default: how far a pixel is from its
            surroundings, :func:`ssl_mix.mixers.saliency.fine_grained_saliency`, which is of no network and so
            the same for all that are compared.
        generator: of a random order; torch's own where None.

    Returns:
        New images like those given.

    Raises:
        ValueError: a share beyond [0, 1], more patches than pixels, another shape.

    Source: Naseer et al., "Intriguing Properties of Vision Transformers" (2021), and tables 9 and 12 of LUMix
    (2022). Differs from them: they take the saliency from the attention of a DINO network.

    Examples:
        >>> images = torch.ones(1, 1, 4, 4)
        >>> patch_drop(images, 0.25, 2).mean(), patch_drop(images, 1.0, 2).sum()
        (tensor(0.7500), tensor(0.))
    """
    check_images(images, "patch_drop", any_dtype=True)
    check_share("share", share)
    check_choice("order", order, get_args(DropOrder))
    _check_grid(images, grid)
    if share == 0:
        return images.clone()
    if order == "random":
        first = sample_uniform((len(images), grid**2), generator, images.device)
    elif order == "center":
        place = torch.arange(grid, device=images.device) - (grid - 1) / 2
        first = -(place[:, None] ** 2 + place**2).flatten().expand(len(images), -1)
    else:
        first = _cell_means(_saliency(images, saliency), grid).flatten(1)
        first = first if order == "salient" else -first
    dropped = torch.zeros(first.shape, dtype=torch.bool, device=images.device)
    chosen = first.argsort(dim=1, descending=True, stable=True)[:, : round(share * grid**2)]
    dropped.scatter_(1, chosen, True)
    return images.masked_fill(spread(dropped.view(-1, grid, grid), *images.shape[2:]), 0)


def patch_shuffle(images: Tensor, grid: int, generator: torch.Generator | None = None) -> Tensor:
    """Images cut into ``grid x grid`` pieces that are put together in a random order, another for each image.

    Args:
        images: (N, C, H, W) of any dtype.
        grid: pieces in a row and in a column; 1 changes nothing. (The paper counts all pieces: its 16 is a
            grid of 4.) Pixels beyond the last whole piece stay where they are.
        generator: of the order; torch's own where None.

    Returns:
        New images of the same pixels.

    Raises:
        ValueError: more pieces than pixels, another shape.

    Source: Naseer et al., "Intriguing Properties of Vision Transformers" (2021); table 7 of LUMix (2022).

    Examples:
        >>> image = torch.arange(4).view(1, 1, 2, 2)
        >>> patch_shuffle(image, 2).flatten().sort().values, torch.equal(patch_shuffle(image, 1), image)
        (tensor([0, 1, 2, 3]), True)
    """
    check_images(images, "patch_shuffle", any_dtype=True)
    _check_grid(images, grid)
    count, channels, height, width = images.shape
    rows, columns = height // grid, width // grid
    order = sample_uniform((count, grid**2), generator, images.device).argsort(dim=1)
    found = images.clone()
    whole = found[:, :, : rows * grid, : columns * grid]
    size = channels * rows * columns
    pieces = whole.reshape(count, channels, grid, rows, grid, columns).permute(0, 2, 4, 1, 3, 5)
    chosen = order[:, :, None].expand(-1, -1, size)
    moved = pieces.reshape(count, grid**2, size).gather(1, chosen)
    moved = moved.view(count, grid, grid, channels, rows, columns).permute(0, 3, 1, 4, 2, 5)
    whole.copy_(moved.reshape(whole.shape))
    return found


def _check_grid(images: Tensor, grid: int) -> None:
    check_count("grid", grid)
    if grid > min(images.shape[2:]):
        raise UserError(
            f"images of {images.shape[2]} x {images.shape[3]} pixels hold no {grid} x {grid} patches: take a "
            "smaller grid"
        )


def _saliency(images: Tensor, given: Tensor | None) -> Tensor:
    """(N, H, W) float64, zero where there is none."""
    if given is None:
        return fine_grained_saliency(images).double()
    expected = (len(images), *images.shape[2:])
    check_values(whole=True, images=images, saliency=given)
    if tuple(given.shape) != expected or not given.isfinite().all():
        raise UserError(f"saliency must be finite floats {expected}, got {given.dtype} {tuple(given.shape)}")
    return given.double()


def _cell_means(values: Tensor, grid: int) -> Tensor:
    """Means over the patches of (N, H, W): (N, grid, grid)."""
    for axis in (1, 2):
        cell = cell_of_pixel(values.shape[axis], grid, values.device)
        sums = torch.zeros((*values.shape[:axis], grid, *values.shape[axis + 1 :])).to(values)
        sums.index_add_(axis, cell, values)
        counts = torch.bincount(cell, minlength=grid)
        values = sums / (counts[:, None] if axis == 1 else counts)
    return values
