"""One image file to uint8: every mode, orientation and format."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from ssl_mix.datasets import decode
from ssl_mix.errors import UserError

NOISE = np.random.default_rng(0).integers(0, 256, (16, 16, 4), dtype=np.uint8)


def stored(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)
    return path


def hwc(path: Path, size: int = 16, channels: int = 3) -> np.ndarray:
    return decode(path, size, channels).permute(1, 2, 0).numpy()


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "TIFF", "webp"])
def test_lossless_rgb_of_the_right_size_keeps_its_pixels(tmp_path: Path, suffix: str) -> None:
    options = {"lossless": True} if suffix == "webp" else {}
    path = stored(tmp_path / f"a.{suffix}", Image.fromarray(NOISE[..., :3]), **options)
    found = decode(path, 16)
    assert found.dtype == torch.uint8 and found.shape == (3, 16, 16) and found.is_contiguous()
    np.testing.assert_array_equal(found.permute(1, 2, 0).numpy(), NOISE[..., :3])


def test_jpeg_equals_pillow(tmp_path: Path) -> None:
    path = stored(tmp_path / "a.jpg", Image.fromarray(NOISE[..., :3]))
    np.testing.assert_array_equal(hwc(path), np.asarray(Image.open(path)))


@pytest.mark.parametrize("channels", [1, 3])
def test_gray(tmp_path: Path, channels: int) -> None:
    path = stored(tmp_path / "a.png", Image.fromarray(NOISE[..., 0]))
    np.testing.assert_array_equal(hwc(path, channels=channels), np.repeat(NOISE[..., :1], channels, axis=2))


def test_color_to_gray_uses_the_luma_weights(tmp_path: Path) -> None:
    path = stored(tmp_path / "a.png", Image.fromarray(NOISE[..., :3]))
    luma = NOISE[..., :3].astype(np.float64) @ (0.299, 0.587, 0.114)
    assert np.abs(hwc(path, channels=1)[..., 0] - luma).max() <= 0.51


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparent_parts_are_white(tmp_path: Path, mode: str) -> None:
    image = Image.fromarray(NOISE).convert(mode)
    path = stored(tmp_path / "a.png", image)
    alpha = NOISE[..., 3:].astype(np.float64) / 255
    color = np.asarray(image, dtype=np.float64)[..., :-1]
    expected = np.broadcast_to(color * alpha + 255 * (1 - alpha), (16, 16, 3))
    assert np.abs(hwc(path) - expected).max() <= 1  # rounding of the blend


@pytest.mark.parametrize("suffix", ["png", "gif"])
def test_palette_with_transparency(tmp_path: Path, suffix: str) -> None:
    image = Image.new("P", (16, 16), 0)
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.paste(1, (0, 0, 16, 8))
    path = stored(tmp_path / f"a.{suffix}", image, transparency=0)
    found = hwc(path)
    assert (found[:8] == (200, 100, 50)).all() and (found[8:] == 255).all()


def test_palette_without_transparency(tmp_path: Path) -> None:
    image = Image.new("P", (16, 16), 1)
    image.putpalette([10, 20, 30, 200, 100, 50])
    assert (hwc(stored(tmp_path / "a.png", image)) == (200, 100, 50)).all()


def test_cmyk(tmp_path: Path) -> None:
    path = stored(tmp_path / "a.tif", Image.new("CMYK", (16, 16), (255, 0, 0, 0)))
    assert (hwc(path) == (0, 255, 255)).all()


def test_one_bit(tmp_path: Path) -> None:
    bits = NOISE[..., 0] > 127
    path = stored(tmp_path / "a.png", Image.fromarray(bits))
    np.testing.assert_array_equal(hwc(path, channels=1)[..., 0], bits * 255)


DEEP = np.linspace(0, 65535, 256).reshape(16, 16)


@pytest.mark.parametrize(
    ("suffix", "values", "white"),
    [
        ("png", DEEP.astype(np.uint16), 65535),
        ("tif", DEEP.astype(np.uint16), 65535),
        ("tif", DEEP.astype(">u2"), 65535),
        ("tif", DEEP.astype(np.int32), 65535),
        ("tif", (DEEP / 65535).astype(np.float32), 1),
        ("tif", (DEEP / 257).astype(np.float32), 255),
        ("tif", DEEP.astype(np.float32), 65535),
        ("tif", (DEEP * 1000).astype(np.int32), 2**26 - 1),
    ],
)
def test_deep_samples_are_scaled_not_clipped(
    tmp_path: Path, suffix: str, values: np.ndarray, white: float
) -> None:
    path = stored(tmp_path / f"a.{suffix}", Image.fromarray(values))
    expected = np.rint(values.astype(np.float64) * 255 / white)
    np.testing.assert_array_equal(hwc(path, channels=1)[..., 0], expected)
    assert len(np.unique(expected)) > 240


def test_not_a_number_is_black(tmp_path: Path) -> None:
    values = np.full((16, 16), np.nan, dtype=np.float32)
    values[0] = 1
    found = hwc(stored(tmp_path / "a.tif", Image.fromarray(values)), channels=1)
    assert (found[0] == 255).all() and (found[1:] == 0).all()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
def test_orientation(tmp_path: Path, orientation: int, suffix: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if suffix == "webp" else {}
    path = stored(tmp_path / f"a.{suffix}", Image.fromarray(NOISE[..., :3]), exif=exif, **options)
    pixels = NOISE[..., :3]
    expected = {
        1: pixels,
        2: pixels[:, ::-1],
        3: pixels[::-1, ::-1],
        4: pixels[::-1],
        5: pixels.swapaxes(0, 1),
        6: np.rot90(pixels, -1),
        7: pixels[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(pixels),
    }[orientation]
    np.testing.assert_array_equal(hwc(path), expected)


@pytest.mark.parametrize("metadata", [b"MM\0*\xff\xff\xff\xff", b"nonsense", b""])
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_broken_metadata_does_not_cost_the_picture(tmp_path: Path, suffix: str, metadata: bytes) -> None:
    image = Image.fromarray(NOISE[..., :3])
    good = stored(tmp_path / f"good.{suffix}", image)
    path = stored(tmp_path / f"a.{suffix}", image, exif=b"Exif\0\0" + metadata)
    np.testing.assert_array_equal(hwc(path), hwc(good))


def test_the_central_square_is_cut_out(tmp_path: Path) -> None:
    wide = np.zeros((16, 32, 3), dtype=np.uint8)
    wide[:, 8:24] = NOISE[..., :3]
    np.testing.assert_array_equal(hwc(stored(tmp_path / "a.png", Image.fromarray(wide))), NOISE[..., :3])


@pytest.mark.parametrize(("shape", "size"), [((40, 25), 16), ((9, 12), 16), ((16, 17), 8)])
def test_resizing_is_bicubic_with_antialiasing(tmp_path: Path, shape: tuple[int, int], size: int) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (*shape, 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    expected = ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(hwc(stored(tmp_path / "a.png", image), size), np.asarray(expected))


def test_a_large_jpeg_is_reduced_in_its_decoder_without_a_visible_change(tmp_path: Path) -> None:
    rows, columns = np.mgrid[0:400, 0:600] / 600
    smooth = np.stack([rows, columns, 1 - columns], axis=2) * 255
    path = stored(tmp_path / "a.jpg", Image.fromarray(smooth.astype(np.uint8)), quality=95)
    expected = np.asarray(ImageOps.fit(Image.open(path), (16, 16)), dtype=np.float64)
    assert np.abs(hwc(path) - expected).max() <= 2


def test_an_animation_gives_its_first_frame(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (16, 16), color) for color in ((255, 0, 0), (0, 0, 255))]
    path = stored(tmp_path / "a.gif", frames[0], save_all=True, append_images=frames[1:])
    assert (hwc(path) == (255, 0, 0)).all()


@pytest.mark.parametrize(
    ("content", "why"),
    [(b"", "an empty file"), (b"hello", "known format"), (b"\x89PNG\r\n\x1a\n broken", "known format")],
)
def test_what_is_no_picture(tmp_path: Path, content: bytes, why: str) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(UserError, match=f"a.png cannot be read as an image: .*{why}"):
        decode(path, 16)


def test_a_cut_off_picture(tmp_path: Path) -> None:
    path = stored(tmp_path / "a.jpg", Image.effect_noise((64, 64), 50))
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(UserError, match="truncated"):
        decode(path, 16)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="gone.png cannot be read as an image: No such file"):
        decode(tmp_path / "gone.png", 16)


def test_decompression_bombs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = stored(tmp_path / "a.png", Image.fromarray(NOISE[..., :3]))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # 256 pixels are more than twice that
    with pytest.raises(UserError, match="decompression bomb"):
        decode(path, 16)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 200)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        np.testing.assert_array_equal(hwc(path), NOISE[..., :3])
    assert not caught


def test_other_numbers_of_channels(tmp_path: Path) -> None:
    path = stored(tmp_path / "a.png", Image.fromarray(NOISE[..., :3]))
    with pytest.raises(UserError, match="channels must be 1 .* or 3 .*, got 4"):
        decode(path, 16, 4)
