"""CIFAR from files in their authors' format, small ones made here."""

import io
import pickle
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import torch
from augmentations import augmentation_of
from torchvision import datasets

from ssl_mix.datasets import DATASETS, load_cifar
from ssl_mix.errors import UserError

ROWS = np.random.default_rng(0).integers(0, 256, (6, 3072), dtype=np.uint8)
FINE = [f"fine{number}" for number in range(100)]


class OldPickler(pickle.Pickler):
    """Pickles the type of an array as the NumPy of 2009 did, with integers for its flags.

    Those were 0 and 1, of which NumPy 2.4.0 to 2.4.4 warned; later versions still warn of the 3.
    """

    def reducer_override(self, thing: Any) -> Any:
        if isinstance(thing, np.dtype):
            reduced = thing.__reduce__()
            assert isinstance(reduced, tuple)
            constructor, _, state = reduced
            return constructor, ("u1", 3, 1), state
        return NotImplemented


def pickled(path: Path, content: dict[str, object]) -> None:
    path.parent.mkdir(exist_ok=True)
    stream = io.BytesIO()
    OldPickler(stream, protocol=2).dump(content)
    path.write_bytes(stream.getvalue())


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One image per training file of CIFAR-10, one in its test file; three and one of CIFAR-100."""
    ten = tmp_path / "cifar-10-batches-py"
    for number in range(5):
        pickled(ten / f"data_batch_{number + 1}", {"data": ROWS[number : number + 1], "labels": [number]})
    pickled(ten / "test_batch", {"data": ROWS[5:], "labels": [9]})
    pickled(ten / "batches.meta", {"label_names": list("abcdefghij")})
    hundred = tmp_path / "cifar-100-python"
    pickled(hundred / "train", {"data": ROWS[:3], "fine_labels": [5, 99, 0], "coarse_labels": [1, 1, 1]})
    pickled(hundred / "test", {"data": ROWS[3:4], "fine_labels": [42], "coarse_labels": [2]})
    pickled(hundred / "meta", {"fine_label_names": FINE})
    for source in (datasets.CIFAR10, datasets.CIFAR100):
        for name in ("train_list", "test_list"):
            monkeypatch.setattr(source, name, [[file, None] for file, _ in getattr(source, name)])
        monkeypatch.setattr(source, "meta", {**source.meta, "md5": None})
    return tmp_path


def test_cifar10(folder: Path) -> None:
    data = load_cifar("cifar10", folder)
    assert data.name == "cifar10" and data.classes == tuple("abcdefghij") and data.test is not None
    train = next(iter(data.train.images.batches([torch.arange(5)], torch.device("cpu"))))
    np.testing.assert_array_equal(train.numpy(), ROWS[:5].reshape(5, 3, 32, 32))
    test = next(iter(data.test.images.batches([torch.arange(1)], torch.device("cpu"))))
    np.testing.assert_array_equal(test.numpy(), ROWS[5:].reshape(1, 3, 32, 32))
    assert data.train.labels.tolist() == [0, 1, 2, 3, 4] and data.test.labels.tolist() == [9]
    augmentation = augmentation_of(data)
    assert np.allclose(np.multiply(augmentation.mean, 255), (125.3, 123.0, 113.9))
    assert np.allclose(np.multiply(augmentation.std, 255), (63.0, 62.1, 66.7))
    assert augmentation.flip and augmentation.padding == 4


def test_cifar100_has_the_fine_classes(folder: Path) -> None:
    data = load_cifar("cifar100", folder)
    assert data.classes == tuple(FINE) and data.test is not None
    assert data.train.labels.tolist() == [5, 99, 0] and data.test.labels.tolist() == [42]
    augmentation = augmentation_of(data)
    assert np.allclose(np.multiply(augmentation.mean, 255), (129.3, 124.1, 112.4))
    assert np.allclose(np.multiply(augmentation.std, 255), (68.2, 65.4, 70.4))


def test_the_registry_loads_the_same(folder: Path) -> None:
    assert DATASETS["cifar10"](folder).fingerprint() == load_cifar("cifar10", folder).fingerprint()
    assert DATASETS["cifar100"](folder).fingerprint() == load_cifar("cifar100", folder).fingerprint()


@pytest.mark.parametrize(
    ("name", "place"), [("cifar10", "cifar-10-batches-py"), ("cifar100", "cifar-100-python")]
)
def test_missing_files(tmp_path: Path, name: str, place: str) -> None:
    with pytest.raises(
        UserError, match=f"expected the files of {name} in .*{place}.*`download`.*data_dir.*{place}"
    ):
        load_cifar(name, tmp_path / "nowhere")  # type: ignore[arg-type]
    assert not (tmp_path / "nowhere").exists()


def test_files_with_a_wrong_checksum(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.CIFAR10, "test_list", [["test_batch", "0" * 32]])
    with pytest.raises(UserError, match="found none or damaged ones; pass `download`"):
        load_cifar("cifar10", folder)


def test_a_failing_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **options: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr("torchvision.datasets.cifar.download_and_extract_archive", fail)
    with pytest.raises(
        UserError, match="the download failed .*no route to host.*https://.*cifar-10.*by hand"
    ):
        load_cifar("cifar10", tmp_path, download=True)
