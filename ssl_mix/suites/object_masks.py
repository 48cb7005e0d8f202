"""Masks of the object in test images, from mask images or from boxes, as the network sees those images."""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageOps
from torch import Tensor

from ssl_mix.augment.crops import center_crop
from ssl_mix.datasets.originals import Form
from ssl_mix.errors import UserError

VOID = 255
KEPT = "cut"


def mask_image(path: Path) -> Image.Image:
    """A mask image: 0 for the background, 255 for what does not count, else the object.

    Raises:
        ValueError: it cannot be read, or holds colors.
    """
    try:
        with Image.open(path) as opened:
            opened.load()
    except (OSError, SyntaxError, ValueError) as error:
        raise UserError(f"{path} cannot be read as a mask: {error}") from error
    if opened.mode not in ("P", "L", "1"):
        raise UserError(
            f"{path}: expected a mask of class numbers (a palette or gray), got mode {opened.mode}"
        )
    pixels = np.asarray(opened).astype(np.uint8)
    return Image.fromarray(np.where((pixels == 0) | (pixels == VOID), pixels, 1).astype(np.uint8))


def box_image(path: Path) -> Image.Image:
    """The boxes of an annotation as a mask.

    Raises:
        ValueError: it is no annotation as ImageNet and Pascal VOC have them.
    """
    try:
        root = ElementTree.parse(path).getroot()
        size = root.find("size")
        assert size is not None
        mask = Image.new("L", (int(size.findtext("width", "")), int(size.findtext("height", ""))))
        boxes = [
            [int(float(box.findtext(edge, ""))) for edge in ("xmin", "ymin", "xmax", "ymax")]
            for box in root.iter("bndbox")
        ]
    except (ElementTree.ParseError, AssertionError, ValueError, OSError) as error:
        raise UserError(f"{path}: expected an annotation with <size> and <bndbox>: {error}") from error
    if not boxes:
        raise UserError(f"{path} has no box")
    for left, top, right, bottom in boxes:
        ImageDraw.Draw(mask).rectangle((left, top, right - 1, bottom - 1), fill=1)
    return mask


def as_seen(mask: Image.Image, form: Form, size: int) -> Tensor:
    """A mask made square as its image is, and of that what the network sees: (size, size) uint8."""
    side = (form.size, form.size)
    nearest = Image.Resampling.NEAREST
    square = ImageOps.fit(mask, side, nearest) if form.fit == KEPT else mask.resize(side, nearest)
    whole = torch.from_numpy(np.array(square))
    return center_crop(whole[None, None], size)[0, 0]
