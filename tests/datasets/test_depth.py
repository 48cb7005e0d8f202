"""Samples of more than 8 bits: one rule by mode and range, checked against a loop in exact numbers."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ssl_mix.datasets import as_dataset, decode, load_folder
from ssl_mix.datasets.depth import eight_bits


def levels(values: np.ndarray[Any, Any], tmp_path: Path, suffix: str = "tif") -> np.ndarray[Any, Any]:
    Image.fromarray(values).save(tmp_path / f"a.{suffix}")
    return decode(tmp_path / f"a.{suffix}", values.shape[0], 1)[0].numpy()


def ramp(top: float, dtype: Any) -> np.ndarray[Any, Any]:
    return np.linspace(0, top, 64 * 64).reshape(64, 64).astype(dtype)


@pytest.mark.parametrize("bits", range(8, 17))
@pytest.mark.parametrize("suffix", ["png", "tif", "jp2"])
def test_a_ramp_of_any_depth_keeps_all_gray_levels(tmp_path: Path, bits: int, suffix: str) -> None:
    found = levels(ramp(2**bits - 1, np.uint16), tmp_path, suffix)
    assert len(np.unique(found)) == 256 and found.min() == 0 and found.max() == 255


@pytest.mark.parametrize(
    ("top", "dtype"),
    [(252, np.int32), (252, np.uint16), (200, ">u2"), (200.0, np.float32), (255, np.float32)],
)
def test_samples_that_are_bytes_stay_what_they_are(tmp_path: Path, top: float, dtype: Any) -> None:
    values = np.rint(ramp(top, np.float64)).astype(dtype)
    np.testing.assert_array_equal(levels(values, tmp_path), values.astype(np.uint8))


@pytest.mark.parametrize("top", [0.3, 0.98, 1.0, 1.02, 1.3])
def test_floats_up_to_one_are_taken_as_such(tmp_path: Path, top: float) -> None:
    found = levels(ramp(top, np.float32), tmp_path)
    np.testing.assert_allclose(found, np.rint(ramp(top, np.float64).clip(0, 1) * 255), atol=1)


@pytest.mark.parametrize("top", [1.6, 2.0, 7.5, 60.0, 254.0, 300.0, 1e4, 65535.0, 1e9, 1e30])
def test_floats_of_any_range_keep_a_third_of_the_levels(tmp_path: Path, top: float) -> None:
    found = levels(ramp(top, np.float32), tmp_path)
    assert found.min() == 0 and found.max() > 84 and len(np.unique(found)) > 84


def test_negative_samples_make_zero_gray(tmp_path: Path) -> None:
    for values in (ramp(2, np.float32) - 1, ramp(4096, np.int32) - 2048):
        values[0, 0] = 0
        found = levels(values, tmp_path)
        assert abs(int(found[values == 0].mean()) - 127.5) < 1 and found.min() < 70 and found.max() > 180


@pytest.mark.parametrize(("value", "level"), [(np.nan, 0), (-np.inf, 0), (np.inf, 255)])
def test_what_is_no_number_does_not_cost_the_others(tmp_path: Path, value: float, level: int) -> None:
    values = ramp(1, np.float32)
    whole = levels(values, tmp_path)
    values[0] = value
    found = levels(values, tmp_path)
    assert (found[0] == level).all()
    np.testing.assert_array_equal(found[1:], whole[1:])


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=6), st.sampled_from([0, 4, 12, 20, 28])
)
def test_the_rule_in_exact_numbers(samples: list[int], shift: int) -> None:
    values = [sample >> shift for sample in samples]
    found, black, white = eight_bits(np.array([values], dtype=np.int64))
    largest = max(max(values), -min(values)) if min(values) < 0 else max(values)
    assert white == next(2**n - 1 for n in range(8, 64) if 2**n - 1 >= largest)
    assert black == (-white if min(values) < 0 else 0)
    for value, level in zip(values, found[0].tolist(), strict=True):
        assert abs(Fraction(255 * (value - black), white - black) - level) <= Fraction(1, 2) + Fraction(
            1, 10**9
        )


def test_color_of_16_bits_is_what_pillow_keeps_of_it_and_is_told(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
    Image.new("RGB", (16, 16), (200, 100, 50)).save(tmp_path / "dog" / "1.png")
    (tmp_path / "cat" / "1.png").write_bytes(png_of_16_bits(np.full((16, 16, 3), (51400, 25700, 12850))))
    assert decode(tmp_path / "cat" / "1.png", 16)[:, 0, 0].tolist() == [200, 100, 50]
    (note,) = load_folder(tmp_path, image_size=16).notes[:1]
    assert note.startswith("1 image has color of 16 bits, of which Pillow keeps the upper 8")


def png_of_16_bits(values: np.ndarray[Any, Any]) -> bytes:
    """Pillow writes none of color."""
    import struct
    import zlib

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    height, width, _ = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    head = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def test_each_kind_is_told_once(tmp_path: Path) -> None:
    for number, name in enumerate(("cat", "dog")):
        (tmp_path / name).mkdir()
        for top in (4095, 65535):
            Image.fromarray(ramp(top, np.uint16) + number).save(tmp_path / name / f"{top}.png")
        Image.fromarray(ramp(1, np.float32) * (1 - number / 9)).save(tmp_path / name / "float.tif")
    told = [note for note in load_folder(tmp_path, image_size=16).notes if "scaled to 8 bits" in note]
    assert told == [
        "2 images have floats, scaled to 8 bits: 0 is black and 1 white in 2",
        "4 images have samples of 16 bits, scaled to 8 bits: 0 is black and 4095 white in 1, "
        "0 is black and 8191 white in 1, 0 is black and 65535 white in 2",
    ]


def test_transparent_gray_of_16_bits_is_white(tmp_path: Path) -> None:
    values = ramp(65535, np.uint16)
    values[:8] = 1000
    Image.fromarray(values).save(tmp_path / "a.png", transparency=1000)
    assert (decode(tmp_path / "a.png", 64)[:, :8] == 255).all()


def test_lab_is_what_its_definition_says(tmp_path: Path) -> None:
    image = Image.new("LAB", (16, 16), (128, 150, 100))  # L = 50.2, a = 22, b = -28
    image.save(tmp_path / "a.tif")
    assert np.abs(decode(tmp_path / "a.tif", 16)[:, 0, 0].numpy() - srgb(128 / 2.55, 22, -28)).max() <= 3
    gray = decode(tmp_path / "a.tif", 16, 1)
    assert gray.shape == (1, 16, 16) and 90 < int(gray[0, 0, 0]) < 150


def srgb(lightness: float, a: float, b: float) -> np.ndarray[Any, Any]:
    """CIE 1976 L*a*b* under D50 to sRGB, by the formulas of CIE 15 and IEC 61966-2-1, Bradford-adapted."""
    f = np.array([(lightness + 16) / 116 + a / 500, (lightness + 16) / 116, (lightness + 16) / 116 - b / 200])
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * (0.96422, 1.0, 0.82521)
    matrix = [
        [3.1338561, -1.6168667, -0.4906146],
        [-0.9787684, 1.9161415, 0.0334540],
        [0.0719453, -0.2289914, 1.4052427],
    ]
    linear = (np.array(matrix) @ xyz).clip(0, 1)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def test_items_of_a_dataset_follow_the_same_rule() -> None:
    values = np.rint(ramp(4095, np.float64)).astype(np.uint16)
    items = [(Image.fromarray(values), 0), (Image.fromarray(values.T.copy()), 1)]
    data = as_dataset(items_of(items), image_size=64)
    found = next(data.train.images.batches([torch.tensor([0])], torch.device("cpu")))
    np.testing.assert_array_equal(found[0, 0].numpy(), eight_bits(values)[0])
    assert data.notes == (
        "2 images have samples of 16 bits, scaled to 8 bits: 0 is black and 4095 white in 2",
    )


class items_of:
    def __init__(self, items: list[Any]) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, position: int) -> Any:
        return self.items[position]
