"""Real images: some of CIFAR-10 as JPEG files, and photographs of five birds."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from ssl_mix.datasets import ImageSet, StreamedImages, load_folder

ROOT = Path(os.environ.get("SSL_MIX_DATA", "/nonexistent"))


def needs(name: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not (ROOT / name).is_dir(), reason=f"needs SSL_MIX_DATA with {name} in it")


def pixels(part: ImageSet) -> torch.Tensor:
    return next(iter(part.images.batches([torch.arange(len(part.images))], torch.device("cpu"))))


@needs("cifar10")
def test_cifar_files_keep_their_pixels(tmp_path: Path) -> None:
    for name in ("cat", "ship"):
        (tmp_path / name).mkdir()
        for file in sorted((ROOT / "cifar10/train" / name).iterdir())[:100]:
            (tmp_path / name / file.name).symlink_to(file)
    data = load_folder(tmp_path, None, image_size=32)
    assert data.train.files is not None and len(data.train.files) == 200 and not data.notes
    for picture, stored in zip(pixels(data.train), data.train.files, strict=True):
        np.testing.assert_array_equal(picture.permute(1, 2, 0), np.asarray(Image.open(stored)))


@needs("cub5")
def test_birds(tmp_path: Path) -> None:
    folders = [ROOT / "cub5" / part for part in ("train", "test")]
    resident = load_folder(*folders, image_size=64)
    streamed = load_folder(*folders, image_size=64, memory_budget=0)
    assert resident.test is not None and streamed.test is not None
    assert len(resident.classes) == 5 and isinstance(streamed.train.images, StreamedImages)
    assert torch.equal(pixels(resident.train), pixels(streamed.train))
    assert torch.equal(pixels(resident.test), pixels(streamed.test))
    assert resident.augmentation == streamed.augmentation
    assert resident.test.files is not None
    for picture, file in zip(pixels(resident.test), resident.test.files, strict=True):
        upright = ImageOps.exif_transpose(Image.open(file)).convert("RGB")
        whole = np.asarray(ImageOps.fit(upright, (64, 64)), dtype=np.float64)
        error = np.abs(picture.permute(1, 2, 0).numpy() - whole).mean()
        assert error < 2, file  # of 255: the decoder may halve a large JPEG first
