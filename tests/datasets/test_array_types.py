"""Number types of images wherever tensors and arrays come in: uint8 or floats in [0, 1], or a refusal."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset, TensorDataset

import ssl_mix
from ssl_mix import SemiSupervisedClassifier
from ssl_mix.datasets import ImageSet, ResidentImages, StreamedImages, as_dataset
from ssl_mix.errors import UserError

BYTES = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 3), dtype=np.uint8)
LABELS = np.arange(12) % 3
FIRST = BYTES.transpose(0, 3, 1, 2).copy()
WRONG = {
    "int32": FIRST.astype(np.int32),
    "int64": FIRST.astype(np.int64),
    "int8": FIRST.astype(np.int8),
    "uint16": FIRST.astype(np.uint16) * 257,
    "bool": FIRST > 99,
    "0 to 255": FIRST.astype(np.float32),
    "0 to 2.55": FIRST.astype(np.float64) / 100,
    "normalized": FIRST.astype(np.float32) / 127.5 - 1,
    "NaN": np.where(FIRST > 200, np.nan, 0.5),
}
RIGHT = {
    "uint8": FIRST,
    "float32": (FIRST / 255).astype(np.float32),
    "float64": FIRST / 255,
    "float16": (FIRST / 255).astype(np.float16),
}


class Items(Dataset[torch.Tensor]):
    def __init__(self, values: Any) -> None:
        self.values = values

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, position: int) -> Any:
        return self.values[position]


def seen(images: Any) -> np.ndarray[Any, Any]:
    return next(images.batches([torch.arange(12)], torch.device("cpu"))).numpy()


def resident(values: Any) -> Any:
    return ImageSet(ResidentImages(torch.from_numpy(values)), torch.from_numpy(LABELS)).images


def resident_array(values: Any) -> Any:
    return ResidentImages(values)


def streamed(values: Any) -> Any:
    return StreamedImages(Items(torch.from_numpy(values)), (3, 8, 8), workers=0)


def streamed_arrays(values: Any) -> Any:
    return StreamedImages(Items(values), (3, 8, 8), workers=0)


def given(values: Any) -> Any:
    return as_dataset((values, LABELS)).train.images


def channels_last(values: Any) -> Any:
    return as_dataset((values.transpose(0, 2, 3, 1), LABELS)).train.images


def items(values: Any) -> Any:
    pairs = TensorDataset(torch.from_numpy(values), torch.from_numpy(LABELS))
    return as_dataset(pairs, workers=0).train.images


WAYS = [resident, resident_array, streamed, streamed_arrays, given, channels_last, items]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", RIGHT)
def test_bytes_and_floats_in_0_to_1_are_the_same(way: Callable[[Any], Any], name: str) -> None:
    np.testing.assert_array_equal(seen(way(RIGHT[name])), FIRST)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", WRONG)
def test_others_are_refused_with_what_is_expected(way: Callable[[Any], Any], name: str) -> None:
    with pytest.raises(UserError, match=r"expected (images of uint8, or )?floats in \[0, 1\]"):
        seen(way(WRONG[name]))


@pytest.mark.parametrize("gray", [False, True])
@pytest.mark.parametrize("name", ["uint8", "float32"])
def test_arrays_on_the_disk(tmp_path: Path, name: str, gray: bool) -> None:
    values = RIGHT[name][:, 0] if gray else RIGHT[name]
    np.save(tmp_path / "a.npy", values)
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    wanted = FIRST[:, :1] if gray else FIRST
    np.testing.assert_array_equal(seen(as_dataset((mapped, LABELS)).train.images), wanted)
    np.save(tmp_path / "b.npy", values.astype(np.int32))
    with pytest.raises(UserError, match="expected images of uint8, or floats"):
        as_dataset((np.load(tmp_path / "b.npy", mmap_mode="r"), LABELS))


def test_what_is_trained_and_what_is_asked() -> None:
    settings: dict[str, Any] = {"net": "small-cnn", "steps": 2, "batch_size": 4, "threads": 1}
    trained = ssl_mix.fit("supervised", (RIGHT["float32"], LABELS), **settings)
    same = ssl_mix.fit("supervised", (FIRST, LABELS), **settings)
    answers = same.predict_proba(FIRST)
    for values in (*RIGHT.values(), *map(torch.from_numpy, RIGHT.values())):
        np.testing.assert_array_equal(trained.predict_proba(values), answers)
    for values in WRONG.values():
        for call in (trained.predict_proba, trained.predict):
            with pytest.raises(UserError, match="floats in"):
                call(values)
        with pytest.raises(UserError, match="floats in"):
            trained.evaluate((values, LABELS))
        with pytest.raises(UserError, match="floats in"):
            ssl_mix.fit("supervised", (values, LABELS), **settings)
    classifier = SemiSupervisedClassifier("supervised", net="small-cnn", steps=2, options={"batch_size": 4})
    classifier.fit(RIGHT["float32"], LABELS)
    with pytest.raises(UserError, match="floats in"):
        classifier.predict(WRONG["0 to 255"])
    with pytest.raises(UserError, match="floats in"):
        classifier.fit(WRONG["uint16"], LABELS)
