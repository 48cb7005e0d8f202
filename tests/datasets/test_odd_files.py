"""Damaged and odd files: each is decoded, or named with a reason in one line; nothing hangs or raises.

``ODD_FILES=2000`` makes as many files as that instead of the few of a quick run.
"""

import gzip
import io
import os
import socket
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from ssl_mix.datasets import as_dataset, decode, load_folder
from ssl_mix.datasets.decode_many import read_all
from ssl_mix.errors import UserError

COUNT = int(os.environ.get("ODD_FILES", "250"))
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "JPEG2000", "AVIF", "PPM", "TGA", "ICO", "SGI", "PCX")
MODES = ("1", "L", "P", "RGB", "RGBA", "LA", "CMYK", "YCbCr", "LAB", "HSV", "I", "F", "I;16")
SUFFIXES = (".jpg", ".png", ".tif", ".gif", ".webp", ".jp2", ".tga", ".heic", ".pcd", ".iim", ".fits", ".psd")
HTML = b"<!DOCTYPE html><html><head><title>404</title></head><body>P6 BM GIF no image</body></html>"
Generator = np.random.Generator


def image(draw: Generator) -> Image.Image:
    """Any mode, any shape."""
    width, height = [(1, 1), (1, 20000), (20000, 1), (3, 5), (17, 9), (40, 40), (90, 60)][draw.integers(7)]
    mode = str(draw.choice(MODES))
    noise = draw.integers(0, 256, (height, width, 3), dtype=np.uint8)
    if mode == "I;16":
        return Image.fromarray(noise[..., 0].astype(np.uint16) * int(draw.integers(1, 258)))
    if mode == "LAB":
        profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        return ImageCms.applyTransform(
            Image.fromarray(noise), ImageCms.buildTransform(*profiles, "RGB", "LAB")
        ) or Image.fromarray(noise)
    return Image.fromarray(noise).convert(mode)


def stored(draw: Generator) -> bytes:
    """In a format that takes it, maybe with metadata or several frames."""
    tiff = b"Exif\0\0MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1"  # of an orientation
    options: list[dict[str, object]] = [
        {},
        {"exif": tiff + bytes([0, int(draw.integers(10))]) + bytes(6)},
        {"icc_profile": draw.bytes(200)},
        {"exif": draw.bytes(30)},
        {"save_all": True, "append_images": [Image.new("RGB", (9, 9))] * 2},
    ]
    for _ in range(20):
        content, chosen = io.BytesIO(), options[draw.integers(len(options))]
        picture, kind = image(draw), str(draw.choice(FORMATS))
        if kind == "AVIF":  # slow to write
            picture, chosen = picture.crop((0, 0, 20, 20)), {**chosen, "speed": 10}
        try:
            picture.save(content, kind, **chosen)
            return content.getvalue()
        except Exception:  # Pillow cannot write it so
            continue
    return HTML


def damaged(content: bytes, draw: Generator) -> bytes:
    """Cut off, with bytes changed, zeroed, inserted or of another kind."""
    if len(content) < 4:
        return content
    at = int(draw.integers(len(content)))
    changed = np.frombuffer(content, dtype=np.uint8).copy()
    places = draw.integers(0, len(content), int(draw.integers(1, 20)))
    match draw.integers(8):
        case 0:
            return content[:at]
        case 1:
            changed[places] = draw.integers(0, 256, len(places))
        case 2:
            changed[: min(at, 64)] = 0
        case 3:
            changed[: min(len(changed), 40)][places % min(len(changed), 40)] ^= 255  # the header
        case 4:
            return content[:at] + draw.bytes(int(draw.integers(1, 40))) + content[at:]
        case 5:
            return draw.bytes(int(draw.integers(0, 8))) + content
        case 6:
            return content + content[:at]
    return changed.tobytes()


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


PNG = b"\x89PNG\r\n\x1a\n"
HUGE = chunk(b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0))
BOMBS = (  # small files that claim, or are, much
    PNG + HUGE + chunk(b"IDAT", zlib.compress(bytes(100_000))) + chunk(b"IEND", b""),
    PNG + chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(8_000_000))),
    b"P6 99999 99999 255\n",
    b"BM" + bytes(12) + struct.pack("<IiiHHI", 40, 2**30, 2**30, 1, 24, 0),
    b"GIF89a" + struct.pack("<HH", 65535, 65535) + bytes(20),
    gzip.compress(bytes(1000)),
    HTML,
    b"",
)


def odd_file(number: int) -> tuple[str, bytes]:
    draw = np.random.default_rng([7, number])
    content = BOMBS[number // 10 % len(BOMBS)] if number % 10 == 0 else stored(draw)
    content = damaged(content, draw) if number % 3 else content
    return f"{number}{draw.choice(SUFFIXES)}", content


@pytest.mark.filterwarnings("ignore")
def test_each_is_decoded_or_named_in_one_line(tmp_path: Path) -> None:
    paths = []
    for number in range(COUNT):
        name, content = odd_file(number)
        (tmp_path / name).write_bytes(content)
        paths.append(tmp_path / name)
    reading = read_all(paths, 16, keep=True)
    assert reading.images is not None and len(reading.images) == len(reading.kept)
    assert len(reading.kept) + len(reading.broken) == COUNT
    assert COUNT // 5 < len(reading.kept) < COUNT * 4 // 5
    for path, reason in reading.broken:
        assert 0 < len(reason) <= 200 and "\n" not in reason and "Traceback" not in reason, (path, reason)


@pytest.mark.parametrize("size", [(1, 1), (1, 20000), (20000, 1)])
@pytest.mark.parametrize("fit", ["cut", "squash"])
def test_extreme_shapes(tmp_path: Path, size: tuple[int, int], fit: str) -> None:
    Image.new("RGB", size, (10, 200, 30)).save(tmp_path / "a.png")
    found = decode(tmp_path / "a.png", 16, 3, fit)  # type: ignore[arg-type]
    assert found[:, 5, 5].tolist() == [10, 200, 30]


def pipe(path: Path) -> None:
    os.mkfifo(path)


def plug(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path)[-100:] if len(str(path)) > 100 else str(path))


def zeros(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize(
    ("make", "kind"), [(pipe, "a pipe"), (plug, "a socket"), (zeros, "a device"), (Path.mkdir, "a folder")]
)
def test_what_is_no_regular_file_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], None], kind: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("cat", "dog"):
        Path(name).mkdir()
        Image.effect_noise((16, 16), 60).save(Path(name, "1.png"))
    odd = Path("cat/x.jpg")
    make(odd)
    with pytest.raises(UserError, match=f"x.jpg cannot be read as an image: {kind}, not a regular file"):
        decode(odd, 16)
    data = load_folder(Path(), image_size=16)
    assert data.train.labels.tolist() == [0, 1]
    if kind != "a folder":
        assert any(f"cat/x.jpg ({kind}, not a regular file)" in note for note in data.notes)
        Path("t.csv").write_text("file,label\ncat/1.png,cat\ndog/1.png,dog\ncat/x.jpg,cat\n")
        with pytest.raises(UserError, match="1 of 3 files is not there or not regular: cat/x.jpg"):
            as_dataset(Path("t.csv"))
    with pytest.raises(UserError, match="x.jpg"):
        as_dataset([("cat/1.png", "cat"), ("dog/1.png", "dog"), ("cat/x.jpg", "cat")])


def test_a_file_of_more_than_a_gib_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "a.jpg").open("wb") as file:
        file.truncate(2**30 + 1)
    with pytest.raises(UserError, match="a file of 1.0 GiB, expected at most 1 GiB"):
        decode(tmp_path / "a.jpg", 16)


def test_unlabeled_pipes_are_named_too(tmp_path: Path) -> None:
    Image.effect_noise((16, 16), 60).save(tmp_path / "1.png")
    os.mkfifo(tmp_path / "2.png")
    (tmp_path / "3.png").write_bytes(b"")
    images = np.zeros((2, 16, 16, 3), dtype=np.uint8)
    images[1] = 9
    data = as_dataset((images, [0, 1]), tmp_path, image_size=16)
    assert torch.equal(data.train.labels, torch.tensor([0, 1, -1]))
    assert any("2.png (a pipe" in note and "3.png (an empty file)" in note for note in data.notes)
