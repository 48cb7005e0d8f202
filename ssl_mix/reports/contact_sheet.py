"""A contact sheet: thumbnails in rows, with a few words below each."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import matplotlib
import torch
from PIL import Image, ImageDraw, ImageFont

from ssl_mix.datasets import ImageSource
from ssl_mix.datasets.pixels import as_picture
from ssl_mix.runs.folder import write_whole

COLUMNS = 8
MOST = 400  # images of a sheet: of more, the first
SIDE, GAP, LINE, LETTERS = (
    144,
    8,
    14,
    11,
)  # pixels: of an image, between two, of a line of words, of its letters
PAPER, INK = "white", "black"


def write_contact_sheet(
    path: Path, images: ImageSource, positions: Sequence[int], words: Sequence[Sequence[str]]
) -> None:
    """Draw images and write them as a JPEG file; of more than 400 the first.

    Args:
        path: of the file.
        images: to choose from.
        positions: of those that are drawn, in order.
        words: lines below each, the first after its number from 1 on; too long ones lose their beginning.
    """
    write_whole(path, lambda file: contact_sheet(images, positions, words).save(file, "JPEG", quality=88))


def contact_sheet(
    images: ImageSource, positions: Sequence[int], words: Sequence[Sequence[str]]
) -> Image.Image:
    """The picture of :func:`write_contact_sheet`."""
    positions, words = positions[:MOST], words[:MOST]
    lines = max(map(len, words), default=0)
    height, columns = SIDE + LINE * lines + GAP, min(COLUMNS, max(1, len(positions)))
    rows = -(-len(positions) // columns)
    sheet = Image.new("RGB", (GAP + columns * (SIDE + GAP), GAP + rows * height), PAPER)
    pen = ImageDraw.Draw(sheet)
    batches = images.batches(torch.split(torch.tensor(positions, dtype=torch.int64), 1), torch.device("cpu"))
    for place, (batch, told) in enumerate(zip(batches, words, strict=True)):
        left, top = GAP + place % columns * (SIDE + GAP), GAP + place // columns * height
        sheet.paste(thumbnail(as_picture(batch[0])), (left, top))
        for number, line in enumerate(told):
            begin = "" if number else f"{place + 1} "
            pen.text((left, top + SIDE + LINE * number), fitting(line, begin), fill=INK, font=font())
    return sheet


def thumbnail(picture: Image.Image) -> Image.Image:
    """A picture in the size of a sheet; pixels of small ones stay square."""
    small = max(picture.size) < SIDE
    return picture.convert("RGB").resize(
        (SIDE, SIDE), Image.Resampling.NEAREST if small else Image.Resampling.LANCZOS
    )


@cache
def font() -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which matplotlib brings along."""
    return ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts/ttf/DejaVuSans.ttf"), LETTERS)


def fitting(line: str, begin: str = "") -> str:
    """A line that is no wider than an image; of a longer one the end, which tells files apart, after what it
    begins with."""
    cut = begin + line
    while font().getlength(cut) > SIDE and len(line) > 1:
        line = line[1:]
        cut = f"{begin}...{line}"
    return cut
