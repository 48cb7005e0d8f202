"""Contact sheets: images in their order, words that fit."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ssl_mix.datasets import ResidentImages
from ssl_mix.reports.contact_sheet import (
    COLUMNS,
    GAP,
    MOST,
    SIDE,
    contact_sheet,
    fitting,
    font,
    write_contact_sheet,
)


def images(count: int) -> ResidentImages:
    """Gray ones, each as bright as its number."""
    levels = torch.arange(count, dtype=torch.uint8)
    return ResidentImages(levels[:, None, None, None].expand(-1, 1, 8, 8))


def test_images_are_drawn_in_the_order_that_is_asked_for() -> None:
    positions = [200, 3, 90, *range(10, 20)]
    sheet = np.asarray(contact_sheet(images(250), positions, [["one", "two"]] * 13))
    height = (sheet.shape[0] - GAP) // 2
    for place, level in enumerate(positions):
        x, y = GAP + place % COLUMNS * (SIDE + GAP), GAP + place // COLUMNS * height
        assert (sheet[y : y + SIDE, x : x + SIDE] == level).all()


def test_long_names_keep_their_end_within_an_image() -> None:
    cut = fitting("a/very/long/path/to/somebody/else/birds/robin/image_0001.jpg")
    assert cut.startswith("...") and cut.endswith("image_0001.jpg") and font().getlength(cut) <= SIDE
    assert fitting("short") == "short"
    numbered = fitting("a_photograph_of_somebody_0001.jpg", "12 ")
    assert numbered.startswith("12 ...") and numbered.endswith("0001.jpg")
    assert font().getlength(numbered) <= SIDE


def test_a_sheet_of_very_many_and_of_one_is_a_jpeg(tmp_path: Path) -> None:
    for count in (1, 2 * MOST):
        write_contact_sheet(tmp_path / "s.jpg", images(5), [1] * count, [["x"]] * count)
        with Image.open(tmp_path / "s.jpg") as sheet:
            rows = -(-min(count, MOST) // COLUMNS)
            assert sheet.format == "JPEG" and sheet.height // rows < 200
