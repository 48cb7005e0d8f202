"""Images and their masks as one uint8 tensor with four channels, cropped and mirrored together."""

import hashlib
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil  # type: ignore[import-untyped]
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from ssl_mix.augment.resized_crop import box_transforms, sample_boxes
from ssl_mix.augment.views import Augmentation
from ssl_mix.datasets.decode import open_image, quiet, read_bytes, reason, square
from ssl_mix.datasets.formats import formats_for
from ssl_mix.datasets.images import in_workers, worker_count
from ssl_mix.errors import UserError
from ssl_mix.evaluation.segmentation import VOID
from ssl_mix.segmentation.pairs import Pair

SCALE, RATIO = (0.25, 1.0), (3 / 4, 4 / 3)  # of random crops, as shares of the area and width over height
CHANNELS = 4  # red, green, blue, class
INDEXED = ("P", "L", "1")  # modes of Pillow whose samples are numbers of classes
Progress = Callable[[str, int, int], None]


def read_mask(path: Path) -> Tensor:
    """The class of each pixel of a mask, (H, W) uint8: the indices of a PNG with a palette, or the gray
    values of one without.

    Raises:
        ValueError: the file cannot be read, holds colors, or is a JPEG, which does not keep numbers.
    """
    try:
        with quiet(), Image.open(io.BytesIO(read_bytes(path)), formats=formats_for(path)) as image:
            kind, mode, values = image.format, image.mode, np.array(image)
    except Exception as error:  # broken files make Pillow raise almost anything
        raise UserError(f"{path} cannot be read as a mask: {reason(error)}") from error
    if kind == "JPEG" or mode not in INDEXED:
        found = "a JPEG, which changes numbers" if kind == "JPEG" else f"one of {mode} without a palette"
        raise UserError(
            f"{path}: a mask must be a PNG with a palette, or a gray one of 8 bits, whose samples are the "
            f"numbers of classes, and this is {found}: write the numbers as such a PNG"
        )
    return torch.from_numpy(values.astype(np.uint8))


def read_pair(pair: Pair, size: int) -> tuple[Tensor, Tensor]:
    """An image and its mask, squashed to (4, size, size) uint8, and the mask as it is, (H, W) uint8.

    Raises:
        ValueError: one of them cannot be read, or they differ in size.
    """
    try:
        with quiet():
            image = open_image(pair.image).image
    except Exception as error:  # broken files make Pillow raise almost anything
        raise UserError(f"{pair.image} cannot be read as an image: {reason(error)}") from error
    mask = read_mask(pair.mask)
    if image.size != (mask.shape[1], mask.shape[0]):
        raise UserError(
            f"{pair.mask} has {mask.shape[1]}x{mask.shape[0]} pixels and {pair.image} "
            f"{image.size[0]}x{image.size[1]}: a mask must have the size of its image"
        )
    small = Image.fromarray(mask.numpy()).resize((size, size), Image.Resampling.NEAREST)
    stored = np.concatenate((square(image, size, 3, "squash"), np.array(small)[None]))
    return torch.from_numpy(stored), mask


class Checked(NamedTuple):
    """What reading every pair once has shown.

    Attributes:
        stored: (N, 4, S, S) uint8, or None where they take more than half of the free memory.
        pixels: of each number in the masks, (256,) int64.
        digest: SHA-256 of what is stored, in hexadecimal.
    """

    stored: Tensor | None
    pixels: Tensor
    digest: str


def check_pairs(
    pairs: Sequence[Pair],
    size: int,
    num_classes: int | None,
    *,
    keep: bool,
    progress: Progress | None,
    label: str,
) -> Checked:
    """Read every image and mask once, so that nothing is found wrong in the middle of training.

    Args:
        pairs: N of them.
        size: side S at which they are stored.
        num_classes: numbers from which on are no class, but for 255.
        keep: hold them in memory where they fit.
        progress: told how far reading is.
        label: of what, for it.

    Raises:
        ValueError: a pair cannot be read, differs in size, or holds a number that is no class.
    """
    fits = keep and len(pairs) * CHANNELS * size**2 <= psutil.virtual_memory().available // 2
    stored = torch.empty(len(pairs), CHANNELS, size, size, dtype=torch.uint8) if fits else None
    pixels, digest = torch.zeros(256, dtype=torch.int64), hashlib.sha256()
    for place, pair in enumerate(pairs):
        packed, mask = read_pair(pair, size)
        found = torch.bincount(mask.flatten(), minlength=256)
        largest = int(found[:VOID].nonzero().max()) if found[:VOID].any() else 0
        if num_classes is not None and largest >= num_classes:
            raise UserError(
                f"{pair.mask} holds the number {largest}, and {num_classes} classes are 0 to "
                f"{num_classes - 1} (255 is void): raise `num_classes`, or mend the mask"
            )
        pixels += found
        digest.update(packed.numpy().tobytes())
        if stored is not None:
            stored[place] = packed
        if progress is not None:
            progress(label, place + 1, len(pairs))
    return Checked(stored, pixels, digest.hexdigest())


class _Items(Dataset[Tensor]):
    """Pairs that are read when they are wanted."""

    def __init__(self, pairs: Sequence[Pair], size: int) -> None:
        self.pairs, self.size = pairs, size

    def __getitem__(self, place: int) -> Tensor:
        return read_pair(self.pairs[place], self.size)[0]


class PairSource:
    """Images with their masks as a fourth channel, an :class:`ssl_mix.datasets.ImageSource`.

    Args:
        pairs: N of them.
        size: side S of what is stored.
        stored: (N, 4, S, S) uint8, or None to read them when they are wanted.
    """

    def __init__(self, pairs: Sequence[Pair], size: int, stored: Tensor | None) -> None:
        self.pairs, self.stored = pairs, stored
        self.shape = (CHANNELS, size, size)

    def __len__(self) -> int:
        return len(self.pairs)

    def batches(self, indices: Iterable[Tensor], device: torch.device) -> Iterator[Tensor]:
        """One uint8 batch (n, 4, S, S) on ``device`` for each index tensor (n,), in order."""
        if self.stored is None:
            items, wanted = _Items(self.pairs, self.shape[1]), (index.tolist() for index in indices)
            found = in_workers(items, wanted, torch.stack, worker_count(), pinned=device.type == "cuda")
        else:
            found = (self.stored[index] for index in indices)
        for batch in found:
            yield batch.to(device, non_blocking=True)


@dataclass(frozen=True)
class PairViews:
    """How pairs are seen, an :class:`ssl_mix.augment.views.Views`: "image" and "mask" are the same random box
    of both, resized and mirrored every other time.

    Colors stay as they are, unlike in Segmenter's code, which changes brightness, contrast and hue too.

    Args:
        pixels: normalizes the images.
    """

    pixels: Augmentation
    flip = True

    def seen(self, shape: tuple[int, int, int]) -> tuple[int, int, int]:
        """(3, S, S): the network sees the image."""
        return 3, shape[1], shape[2]

    def plain(self, images: Tensor) -> Tensor:
        """The images (N, 3, S, S) of pairs (N, 4, S, S)."""
        return images[:, :3]

    def normalize(self, images: Tensor, *, channels_last: bool = False) -> Tensor:
        """uint8 (N, 3, S, S) to float32."""
        return self.pixels.normalize(images, channels_last=channels_last)

    def views(
        self, images: Tensor, names: Sequence[str], generator: torch.Generator, *, channels_last: bool = False
    ) -> dict[str, Tensor]:
        """ "image" (N, 3, S, S) float32, normalized, and "mask" (N, S, S) int64, of pairs (N, 4, S, S)."""
        height, width = images.shape[2:]
        boxes = sample_boxes(len(images), height, width, scale=SCALE, ratio=RATIO, generator=generator)
        theta = box_transforms(boxes, height, width)
        theta[torch.rand(len(images), generator=generator) < 0.5, 0, 0] *= -1
        grid = F.affine_grid(theta.to(images.device), list(images.shape), align_corners=False)
        wide = images.float()
        cut = F.grid_sample(wide[:, :3], grid, padding_mode="border", align_corners=False)
        mask = F.grid_sample(wide[:, 3:], grid, mode="nearest", padding_mode="border", align_corners=False)
        cut = cut.round_().clamp_(0, 255).to(torch.uint8)
        made = {"image": self.normalize(cut, channels_last=channels_last), "mask": mask[:, 0].long()}
        return {name: made[name] for name in names}
