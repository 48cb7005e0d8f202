"""Masks are read as they are meant or refused, and stay with their images in every view."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from segmentation_scene import write_mask, write_scenes

from ssl_mix.augment.views import Augmentation
from ssl_mix.errors import UserError
from ssl_mix.segmentation.data import PairSource, PairViews, check_pairs, read_mask, read_pair
from ssl_mix.segmentation.pairs import Pair, find_pairs

MASK = np.array([[0, 1, 2], [255, 20, 0]], dtype=np.uint8)


def test_indices_of_a_palette_and_gray_values_are_classes(tmp_path: Path) -> None:
    write_mask(tmp_path / "palette.png", MASK)
    Image.fromarray(MASK).save(tmp_path / "gray.png")
    Image.fromarray(MASK > 0).save(tmp_path / "two.png")
    assert read_mask(tmp_path / "palette.png").tolist() == MASK.tolist()
    assert read_mask(tmp_path / "gray.png").tolist() == MASK.tolist()
    assert read_mask(tmp_path / "two.png").tolist() == (MASK > 0).tolist()


def test_colors_and_lossy_files_are_refused(tmp_path: Path) -> None:
    Image.fromarray(MASK).convert("RGB").save(tmp_path / "colors.png")
    Image.fromarray(MASK).save(tmp_path / "lossy.jpg")
    (tmp_path / "broken.png").write_bytes(b"no image")
    for name, said in (
        ("colors.png", "this is one of RGB without a palette"),
        ("lossy.jpg", "this is a JPEG, which changes numbers"),
        ("broken.png", "cannot be read as a mask: not an image"),
    ):
        with pytest.raises(UserError, match=said):
            read_mask(tmp_path / name)


def test_a_pair_is_squashed_and_its_mask_stays_whole(tmp_path: Path) -> None:
    images, masks = write_scenes(tmp_path, 2)
    stored, mask = read_pair(Pair(images / "01.png", masks / "01.png"), 32)
    assert stored.shape == (4, 32, 32)
    assert mask.shape == (72, 80)
    red = stored[0].int() - stored[2].int()
    assert (stored[3][red < -60] == 2).float().mean() > 0.9


def test_another_size_and_numbers_beyond_the_classes_are_refused(tmp_path: Path) -> None:
    images, masks = write_scenes(tmp_path, 4)
    pairs = find_pairs(images, masks, 0.25, 0).train
    with pytest.raises(UserError, match="holds the number 2, and 2 classes are 0 to 1"):
        check_pairs(pairs, 32, 2, keep=True, progress=None, label="")
    write_mask(pairs[0].mask, MASK)
    with pytest.raises(UserError, match=r"has 3x2 pixels and .*: a mask must have the size of its image"):
        check_pairs(pairs, 32, 3, keep=True, progress=None, label="")


def test_pixels_are_counted_and_streamed_images_are_the_kept_ones(tmp_path: Path) -> None:
    images, masks = write_scenes(tmp_path, 4)
    pairs = find_pairs(images, masks, 0.25, 0).train
    found = check_pairs(pairs, 32, 3, keep=True, progress=None, label="")
    expected = torch.cat([read_mask(pair.mask).flatten() for pair in pairs]).long()
    assert found.pixels.tolist() == torch.bincount(expected, minlength=256).tolist()
    batches = [
        [*PairSource(pairs, 32, stored).batches([torch.tensor([2, 0])], torch.device("cpu"))]
        for stored in (found.stored, None)
    ]
    assert torch.equal(batches[0][0], batches[1][0])
    assert check_pairs(pairs[::-1], 32, 3, keep=False, progress=None, label="").digest != found.digest


def test_image_and_mask_are_cropped_and_mirrored_together() -> None:
    """Ramps whose classes are the columns, or the rows, and whose colors are four times as much."""
    columns = torch.arange(60, dtype=torch.uint8).expand(16, 60, 60)
    mask = torch.cat((columns, columns.transpose(1, 2)))
    images = torch.cat(((4 * mask)[:, None].expand(-1, 3, -1, -1), mask[:, None]), dim=1)
    views = PairViews(Augmentation(mean=(0.0,) * 3, std=(1.0,) * 3))
    found, again = (
        views.views(images, ("image", "mask"), torch.Generator().manual_seed(3)) for _ in range(2)
    )
    assert torch.equal(found["image"], again["image"]) and torch.equal(found["mask"], again["mask"])
    assert (found["image"][:, 0] * 255 / 4 - found["mask"]).abs().max() < 0.7
    rises = (found["mask"][:16, 0, -1] > found["mask"][:16, 0, 0]).sum()
    assert 2 < rises < 14
    assert (found["mask"][16:, -1, 0] > found["mask"][16:, 0, 0]).all()
    extent = (found["mask"][:16, 0, -1] - found["mask"][:16, 0, 0]).abs()
    assert extent.min() > 20 and extent.max() < 60 and len(extent.unique()) > 5
