"""Mean and standard deviation of images, for normalizing them."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ssl_mix.datasets.images import ImageSource
from ssl_mix.errors import UserError, counts_of

MAX_IMAGES = 2000
CHUNK_PIXELS = 2**20  # at a time, of however large images: their sums are taken in int64
MIN_STD = 1e-3

Channels = tuple[float, ...]


def channel_statistics(images: ImageSource) -> tuple[Channels, Channels]:
    """Mean and standard deviation of each channel over all pixels, where black is 0 and white is 1.

    At most 2000 images are looked at, evenly spaced. The sums are exact integers, so a streamed source
    gives what a resident one gives.

    Args:
        images: N >= 1 images.

    Returns:
        C means and C standard deviations (at least 0.001), rounded to 3 decimals.
    """
    count = min(len(images), MAX_IMAGES)
    chosen = torch.arange(count) * len(images) // count
    sums = torch.zeros(2, images.shape[0], dtype=torch.int64)
    chunk = max(1, CHUNK_PIXELS // (images.shape[1] * images.shape[2]))
    for batch in images.batches(torch.split(chosen, chunk), torch.device("cpu")):
        sums += _sums(batch)
    mean, square = sums.double() / (count * images.shape[1] * images.shape[2] * 255)
    std = (square / 255 - mean**2).clamp(min=0).sqrt().clamp(min=MIN_STD)
    return _rounded(mean), _rounded(std)


def for_channels(channels: int, name: str, values: Sequence[float]) -> Channels:
    """Mean or deviation for as many channels as the images have; gray ones are seen as images in color with
    equal channels.

    Args:
        channels: 1 or 3.
        name: "mean" or "std", for messages.
        values: one for each channel, or one for all.

    Raises:
        ValueError: another number of values.
    """
    if channels == 1:
        return (sum(values) / len(values),)
    if len(values) not in (1, channels):
        raise UserError(
            f"{name} must have {counts_of(channels, 'value')}, one for each channel, got {len(values)}"
        )
    return tuple(float(value) for value in values) * (channels // len(values))


def _sums(batch: Tensor) -> Tensor:
    sums = torch.zeros(2, batch.shape[1], dtype=torch.int64)
    for rows in torch.split(batch, max(1, CHUNK_PIXELS // (len(batch) * batch.shape[3])), dim=2):
        pixels = rows.long()
        sums += torch.stack([pixels.sum((0, 2, 3)), pixels.square().sum((0, 2, 3))])
    return sums


def _rounded(values: Tensor) -> Channels:
    return tuple(round(value, 3) for value in values.tolist())
