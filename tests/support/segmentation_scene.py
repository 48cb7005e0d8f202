"""Images whose segmentation is known: colored rectangles on noise, and their masks."""

from pathlib import Path

import numpy as np
from PIL import Image

COLORS = np.array([[90, 90, 90], [220, 40, 40], [40, 60, 220]])


def write_scenes(folder: Path, count: int, side: int = 64) -> tuple[Path, Path]:
    """Folders of ``count`` images of several shapes and of their masks with classes 0 (noise), 1 (red) and 2
    (blue), and void around each rectangle's upper left corner."""
    rng = np.random.default_rng(0)
    images, masks = folder / "images", folder / "masks"
    for place in (images, masks):
        place.mkdir(parents=True)
    for number in range(count):
        width, height = side + 16 * (number % 3), side + 8 * (number % 2)
        mask = np.zeros((height, width), dtype=np.uint8)
        half, middle = side // 2, (number * 8) % (width - side // 2)
        mask[8 : 8 + half, middle : middle + half] = 1 + number % 2
        pixels = COLORS[mask] + rng.normal(0, 20, (height, width, 1))
        mask[8:10, middle : middle + 2] = 255
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(images / f"{number:02}.png")
        write_mask(masks / f"{number:02}.png", mask)
    return images, masks


def write_mask(path: Path, mask: np.ndarray) -> None:
    """A PNG with a palette, as Pascal VOC has them."""
    image = Image.fromarray(mask).convert("P")
    image.putdata(mask.flatten().tolist())
    image.putpalette(COLORS.flatten().tolist() + [0] * (256 - len(COLORS)) * 3)
    image.save(path)
