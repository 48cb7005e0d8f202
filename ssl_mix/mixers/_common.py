"""What mixers share: drawing, checking images, putting two images together by a mask."""

import warnings
from collections.abc import Sequence
from numbers import Real

import torch
from torch import Tensor

from ssl_mix.errors import UserError
from ssl_mix.losses._common import check_meta, check_shares
from ssl_mix.randomness import sample_beta

SMALLEST = 8  # side of what may be an image without its batch axis


def sample_uniform(shape: tuple[int, ...], generator: torch.Generator | None, device: torch.device) -> Tensor:
    """Draws from U[0, 1), float32, on ``device``, made where the generator lives."""
    source = generator.device if generator is not None else device
    return torch.rand(shape, generator=generator, device=source).to(device, non_blocking=True)


def sample_permutation(count: int, generator: torch.Generator | None, device: torch.device) -> Tensor:
    """A random permutation of ``range(count)``, int64, on ``device``, made where the generator lives."""
    source = generator.device if generator is not None else device
    return torch.randperm(count, generator=generator, device=source).to(device, non_blocking=True)


def given_lam(lam: Tensor | float, images: Tensor) -> Tensor:
    """The given lam, (N,) or one number, as (N,) float32 on the device of ``images``.

    What lies beyond [0, 1] is refused, and what is neither number nor tensor; values of a tensor that cannot
    be looked at without waiting, on a GPU for one, are brought into it, NaN to 0.
    """
    count = len(images)
    if not isinstance(lam, Tensor):
        if not isinstance(lam, Real) or not 0 <= lam <= 1:
            raise UserError(f"lam must be a number in [0, 1] or a tensor ({count},), got {lam!r}")
        return torch.full((count,), lam, dtype=torch.float32, device=images.device)
    if lam.shape != (count,):
        raise UserError(f"lam must have shape ({count},), one value per image, got {tuple(lam.shape)}")
    check_meta("lam", lam, images)
    check_shares("lam", lam)
    moved = lam.detach().to(images.device, torch.float32, non_blocking=True)
    return moved.nan_to_num(0.0).clamp(0, 1)


def resolve_lam(
    lam: Tensor | float | None, alpha: float, images: Tensor, generator: torch.Generator | None
) -> Tensor:
    """The given lam as (N,) float32 on the device of ``images``, or one draw per sample from Beta(alpha,
    alpha)."""
    if lam is None:
        return sample_beta(len(images), alpha, generator, images.device)
    return given_lam(lam, images)


IMAGES = (4,)
_SHAPES = {4: "(N, C, H, W)", 3: "(N, C, T)"}


def check_pair(images_a: Tensor, images_b: Tensor, axes: tuple[int, ...] = IMAGES) -> None:
    """Raise unless both are of one shape and dtype, with one of those numbers of axes; () stands for any."""
    shapes = " or ".join(_SHAPES[number] for number in axes) or "(N, ...)"
    for images in (images_a, images_b):
        if not isinstance(images, Tensor):
            raise UserError(f"images must be a tensor {shapes}, got {type(images).__name__}")
    alike = images_a is images_b or all(
        getattr(images_a, name) == getattr(images_b, name) for name in ("shape", "dtype", "device")
    )
    if images_a.ndim not in (axes or (images_a.ndim,)) or images_a.ndim < 2 or not alike:
        raise UserError(
            f"both image batches must be {shapes} with the same shape, dtype and device, "
            f"got {images_a.dtype} {tuple(images_a.shape)} on {images_a.device} "
            f"and {images_b.dtype} {tuple(images_b.shape)} on {images_b.device}"
        )
    if images_a.numel() == 0:
        raise UserError(
            f"there are no images to mix, got an empty batch {tuple(images_a.shape)}: leave it out"
        )


def warn_of_one_image(images: Tensor) -> None:
    """Warn where (N, C, T) looks like one image (C, H, W) without its batch axis."""
    if images.ndim == 3 and len(images) in (1, 3) and min(images.shape[1:]) >= SMALLEST:
        warnings.warn(
            f"{tuple(images.shape)} is mixed as {len(images)} signals of {images.shape[1]} channels; one "
            "image needs a batch axis: images[None]",
            stacklevel=3,
        )


def check_labels(images: Tensor, labels: Tensor) -> None:
    """Raise unless there is one int64 class per image, or one float in [0, 1] per image and class."""
    if not isinstance(labels, Tensor):
        raise UserError(f"labels must be a tensor ({len(images)},), got {type(labels).__name__}")
    if labels.is_meta != images.is_meta:
        raise UserError(f"labels must have a device like {images.device}, got {labels.device}")
    if labels.is_floating_point() and labels.ndim == 2 and len(labels) == len(images):
        check_shares("labels", labels)
        return
    if labels.dtype != torch.int64 or labels.shape != images.shape[:1]:
        raise UserError(
            f"labels must be int64 ({len(images)},), one class per image, or multi-label, float "
            f"({len(images)}, C) in [0, 1], got {labels.dtype} {tuple(labels.shape)}"
        )


def pair_up(
    images: Tensor,
    labels: Tensor,
    generator: torch.Generator | None,
    axes: tuple[int, ...] = IMAGES,
) -> tuple[Tensor, Tensor, Tensor]:
    """A random partner for each image, (N,), and the labels of both, (N,) each, all on the device of the
    images."""
    check_pair(images, images, axes)
    check_labels(images, labels)
    partner = sample_permutation(len(images), generator, images.device)
    labels = labels.to(images.device, non_blocking=True)
    return partner, labels, labels.index_select(0, partner)


def in_channels_last(images: Tensor) -> bool:
    """Whether the channels of a pixel lie side by side, and not those of a row."""
    return (
        images.ndim == 4
        and not images.is_contiguous()
        and images.is_contiguous(memory_format=torch.channels_last)
    )


def reordered(images: Tensor, order: Tensor) -> Tensor:
    """``images[order]`` for images (N, C, H, W), in their memory layout."""
    if in_channels_last(images):
        return images.permute(0, 2, 3, 1).index_select(0, order).permute(0, 3, 1, 2)
    return images.index_select(0, order)


def check_float(images: Tensor, mixer: object) -> None:
    """Raise for integer images, which ``mixer`` cannot blend without rounding."""
    if not images.is_floating_point():
        raise UserError(
            f"{type(mixer).__name__} blends float images, got {images.dtype}: "
            "convert with images.float() / 255 first"
        )


def check_saliency(images: Tensor, **saliency: Tensor | None) -> None:
    """Raise unless each named saliency that is there is float (N, H, W) for images (N, C, H, W)."""
    expected = (len(images), *images.shape[2:])
    for name, given in saliency.items():
        if given is not None and (tuple(given.shape) != expected or not given.is_floating_point()):
            raise UserError(f"{name} must be float {expected}, got {given.dtype} {tuple(given.shape)}")


def usable_saliency(saliency: Tensor, device: torch.device) -> Tensor:
    """Saliency on ``device``, without looking at it: what is negative or not finite counts as 0, and no
    gradient flows."""
    return saliency.detach().to(device, non_blocking=True).nan_to_num(0.0, 0.0, 0.0).clamp(min=0)


def check_limits(name: str, given: object, low: float, high: float) -> None:
    """Raise unless ``given`` is a pair of numbers (smallest, largest) in [low, high]."""
    pair = isinstance(given, Sequence) and len(given) == 2 and all(isinstance(end, Real) for end in given)
    if not (pair and low <= given[0] <= given[1] <= high):  # type: ignore[index]
        raise UserError(f"{name} must be (smallest, largest) in [{low}, {high}], got {given!r}")


def composite(images_a: Tensor, images_b: Tensor, mask: Tensor, *, own_b: bool = False) -> Tensor:
    """``mask * a + (1 - mask) * b`` in the dtype of the images, for a bool or a float32 mask (N, 1, H, W).

    A bool mask copies pixels, of any dtype; floats must be finite. A float mask blends in float32 or better,
    rounding once. Where ``own_b``, b may be overwritten: to allocate a batch can take longer than to mix it.
    """
    if mask.dtype == torch.bool and not images_a.is_floating_point():
        return torch.where(mask, images_a, images_b)
    if mask.dtype == torch.bool:
        # Exact for weights 0 and 1, and on the CPU four times as fast as torch.where; so is a conversion from
        # bytes.
        mask = mask.view(torch.uint8).to(images_a.dtype)
    elif images_a.dtype != mask.dtype:
        precise = torch.promote_types(images_a.dtype, torch.float32)
        blend = torch.lerp(images_b.to(precise), images_a.to(precise), mask.to(precise))
        return blend.to(images_a.dtype)
    return images_b.lerp_(images_a, mask) if own_b else torch.lerp(images_b, images_a, mask)


def paste_box(
    images_a: Tensor, images_b: Tensor, rows: Tensor, columns: Tensor, *, own_b: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    """Images of which ``a`` is seen outside a box and ``b`` in it, the share of ``a``, and the mask.

    Args:
        images_a: (N, C, H, W), any dtype.
        images_b: the same; may be overwritten if ``own_b``.
        rows: 1 beyond the rows of the box, 0 within, (N, H) float32.
        columns: the same for its columns, (N, W).
        own_b: whether it may.

    Returns:
        (N, C, H, W), (N,) float32 and (N, 1, H, W) bool, True for ``a``.
    """
    height, width = images_a.shape[2:]
    outside = torch.maximum(rows.unsqueeze(1).unsqueeze(3), columns.unsqueeze(1).unsqueeze(1))
    mask = outside.to(torch.bool)
    box = rows.sum(1).sub_(height).mul_(columns.sum(1).sub_(width))
    share = box.neg_().add_(height * width).div_(height * width)
    shown = outside if images_a.dtype == outside.dtype else mask
    return composite(images_a, images_b, shown, own_b=own_b), share, mask


def rearrange(images: Tensor, source: Tensor) -> Tensor:
    """Images (N, C, H, W) of which pixel p of sample n shows pixel ``source[n, p]``, counted row by row: (N,
    H W) int64.

    They keep their memory layout.
    """
    if in_channels_last(images):
        count, pixels = source.shape
        place = source + torch.arange(0, count * pixels, pixels, device=source.device)[:, None]
        chosen = images.permute(0, 2, 3, 1).flatten(0, 2).index_select(0, place.flatten())
        return chosen.view(count, *images.shape[2:], -1).permute(0, 3, 1, 2)
    # One gather along the last axis is several times faster than one for rows and one for columns.
    return images.flatten(2).gather(2, source[:, None].expand(-1, images.shape[1], -1)).view_as(images)


def pixel_share(mask: Tensor) -> Tensor:
    """Mean of a mask (N, 1, H, W), bool or float, per sample: (N,) float32."""
    pixels = mask.flatten(1)
    if mask.dtype == torch.bool:
        return pixels.sum(1, dtype=torch.int32).float() / pixels.shape[1]
    return pixels.float().mean(1)


def highest(values: Tensor, count: Tensor) -> Tensor:
    """The ``count`` largest of each row, to a resolution of 2^-24 of its range; among equals, those that come
    first.

    The last that is taken is found by two or three digits of its distance from the largest, each read from a
    histogram.

    Args:
        values: (N, P) float32.
        count: (N,) whole numbers in [0, P].

    Returns:
        (N, P) bool, with exactly ``count`` True in each row.
    """
    top = values.amax(1, keepdim=True)
    span = (top - values.amin(1, keepdim=True)).clamp(min=torch.finfo(values.dtype).tiny)
    depth = (top - values).div_(span).mul_(2**24 - 1).int().clamp_(0, 2**24 - 1)
    # Where rows are short, large histograms cost more than a third round.
    bits = 12 if values.shape[1] > 2**13 else 8
    missing = count[:, None].int()
    limit = torch.zeros_like(missing)
    for shift in range(24 - bits, -1, -bits):
        digits = depth >> shift
        # By way of bytes: torch converts bools slowly on the CPU.
        inside = (digits >> bits == limit).view(torch.uint8).int()
        sizes = inside.new_zeros(len(values), 2**bits).scatter_add_(
            1, (digits & (2**bits - 1)).long(), inside
        )
        reached = sizes.cumsum(1, dtype=torch.int32)
        digit = (reached < missing).sum(1, keepdim=True)
        missing = missing - (reached - sizes).gather(1, digit)
        limit = (limit << bits) + digit.int()
    equal = depth == limit
    return (depth < limit) | (equal & (equal.cumsum(1, dtype=torch.int32) <= missing))


def segments(start: Tensor, length: Tensor, side: int) -> Tensor:
    """Pixels ``start <= p < start + length`` of a line of ``side`` pixels: (N, side) bool from two (N,) of
    whole numbers."""
    pixel = torch.arange(side, device=start.device, dtype=start.dtype)
    return (pixel >= start[:, None]) & (pixel < (start + length)[:, None])


def cross(rows: Tensor, columns: Tensor) -> Tensor:
    """Pixels whose row and column are both chosen: (N, 1, H, W) bool from (N, H) and (N, W) bool."""
    # As bytes: torch's "and" of bools is not vectorised on the CPU.
    return (rows.view(torch.uint8)[:, None, :, None] & columns.view(torch.uint8)[:, None, None]).view(
        torch.bool
    )


def share_outside(rows: Tensor, columns: Tensor) -> Tensor:
    """Share of the pixels that ``cross(rows, columns)`` leaves out, exact, (N,) float32."""
    pixels = rows.shape[1] * columns.shape[1]
    return (pixels - rows.sum(1) * columns.sum(1)).float() / pixels


def pixel_centers(side: int, device: torch.device) -> Tensor:
    """Centers of the pixels of a line of length 1: (side,) float32."""
    return (torch.arange(side, device=device, dtype=torch.float32) + 0.5) / side
