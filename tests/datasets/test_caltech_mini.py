"""The photographs that come with the package: which they are, whose they are, and that nothing is lost."""

import hashlib
import os
from pathlib import Path
from zipfile import ZipFile

import pytest
import torch

from ssl_mix.datasets import DATASETS, DataSet, load_caltech_mini, load_folder
from ssl_mix.datasets.caltech_mini import ARCHIVE

DATA = os.environ.get("SSL_MIX_DATA")
CLASSES = (
    "chandelier crayfish electric_guitar flamingo ibis ketch lobster mandolin menorah minaret pagoda pigeon "
    "rooster schooner scorpion"
)


@pytest.fixture(scope="module")
def data() -> DataSet:
    return load_caltech_mini()


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unpacked")
    with ZipFile(ARCHIVE) as archive:
        archive.extractall(folder)
    return folder


def test_the_archive_never_changes_and_is_small() -> None:
    content = ARCHIVE.read_bytes()
    assert len(content) < 3 * 10**6
    expected = "04dc700a00944603124c175b339b4556a7b4d6a96dcec0f83ece68dc834ec6c5"
    assert hashlib.sha256(content).hexdigest() == expected


def test_classes_and_numbers(data: DataSet) -> None:
    assert data.name == "caltech-mini" and data.classes == tuple(CLASSES.split())
    assert data.test is not None
    assert data.train.labels.bincount().tolist() == [30] * 15
    assert data.test.labels.bincount().tolist() == [20] * 6 + [11, 13, 20, 20, 17, 15, 19, 20, 20]
    assert DATASETS["caltech-mini"] is load_caltech_mini


def test_the_images_are_those_of_the_unpacked_folder(data: DataSet, unpacked: Path) -> None:
    folder = load_folder(unpacked / "train", unpacked / "test", image_size=128)
    assert folder.classes == data.classes
    assert folder.of_pixels.mean == data.of_pixels.mean and folder.of_pixels.std == data.of_pixels.std
    for ours, theirs in ((data.train, folder.train), (data.test, folder.test)):
        assert ours is not None and theirs is not None and torch.equal(ours.labels, theirs.labels)
        index = [torch.arange(len(ours.labels))]
        [mine], [expected] = (
            list(part.images.batches(index, torch.device("cpu"))) for part in (ours, theirs)
        )
        assert torch.equal(mine, expected)


def test_no_image_is_both_learned_from_and_tested_on(data: DataSet) -> None:
    assert data.test is not None
    seen = []
    for part in (data.train, data.test):
        [images] = part.images.batches([torch.arange(len(part.labels))], torch.device("cpu"))
        seen.append({image.numpy().tobytes() for image in images})
    assert not seen[0] & seen[1]


def test_whose_photographs_they_are_is_told_beside_and_inside(unpacked: Path) -> None:
    told = ARCHIVE.with_suffix(".txt").read_text()
    assert (unpacked / "caltech_mini.txt").read_text() == told
    for words in ("Li, F.-F.", "https://doi.org/10.22002/D1.20086", "CC BY 4.0", "Changes: "):
        assert words in told


@pytest.mark.skipif(not DATA or not Path(DATA, "caltech50").is_dir(), reason="needs SSL_MIX_DATA/caltech50")
def test_the_images_are_the_centers_of_the_originals(data: DataSet, unpacked: Path) -> None:
    files = sorted((unpacked / "train").rglob("*.webp"))
    originals = [Path(str(DATA), "caltech50", *file.parts[-3:]).with_suffix(".jpg") for file in files]
    images = data.train.images
    for position in range(0, 450, 45):
        [stored] = images.batches([torch.tensor([position])], torch.device("cpu"))
        difference = stored[0].float() - load_center(originals[position])
        assert difference.abs().mean() < 12  # levels of 255: WebP keeps half the resolution of colors


def load_center(file: Path) -> torch.Tensor:
    """The central square of a photograph whose short side has 128 pixels, (3, 128, 128)."""
    import numpy as np
    from PIL import Image

    pixels = np.asarray(Image.open(file).convert("RGB"), dtype=np.float32)
    top, left = ((side - 128) // 2 for side in pixels.shape[:2])
    return torch.from_numpy(pixels[top : top + 128, left : left + 128]).permute(2, 0, 1)
