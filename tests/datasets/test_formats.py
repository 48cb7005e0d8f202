"""Which files are images: one rule for folders of every kind."""

import io
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ssl_mix.datasets import as_dataset, decode, list_images, load_folder, load_two_folders
from ssl_mix.datasets.formats import formats_for, suffixes
from ssl_mix.runs.predicting import find_images

# What Pillow reads: common photographs, then the others that it can write too.
COMMON = [
    "jpg",
    "jpeg",
    "jpe",
    "jfif",
    "png",
    "apng",
    "webp",
    "avif",
    "avifs",
    "bmp",
    "dib",
    "tif",
    "tiff",
    "gif",
    "jp2",
    "j2k",
    "jpc",
    "jpf",
    "jpx",
    "j2c",
    "ppm",
    "pgm",
    "pbm",
    "pnm",
    "mpo",
]
RARE = ["ico", "icns", "tga", "qoi", "pcx", "sgi", "rgb", "bw", "dds", "msp", "xbm", "pfm"]
WRITTEN = {"jfif": "JPEG", "jpe": "JPEG", "avifs": "AVIF", "jpc": "JPEG2000", "mpo": "MPO", "pfm": "PPM"}
BITS = ("msp", "xbm", "pbm")


def picture(suffix: str) -> Image.Image:
    values = np.add.outer(np.arange(64), np.arange(64)).astype(np.uint8) * 2
    image = Image.fromarray(values).convert("RGB")
    return image.convert(
        "1" if suffix in BITS else "F" if suffix == "pfm" else "L" if suffix == "bw" else "RGB"
    )


def write(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture(path.suffix[1:].lower()).save(path, WRITTEN.get(path.suffix[1:].lower()))
    return path


@pytest.mark.parametrize("suffix", [*COMMON, *RARE, "JFIF", "Jp2"])
def test_whatever_pillow_decodes_is_taken(tmp_path: Path, suffix: str) -> None:
    file = write(tmp_path / "in" / f"a.{suffix}")
    assert list_images(file.parent) == [file] and decode(file, 16).shape == (3, 16, 16)
    assert decode(file, 16, 1).float().std() > 20


def test_every_registered_suffix_is_taken_unless_pillow_cannot_decode_it() -> None:
    Image.init()
    readable = {suffix for suffix, name in Image.registered_extensions().items() if name in Image.OPEN}
    left = {".eps", ".ps", ".wmf", ".emf", ".bufr", ".grib", ".h5", ".hdf", ".mpg", ".mpeg"}
    assert set(suffixes()) >= (readable - left) | {".mpo"}
    assert not set(suffixes()) & left


def test_the_same_files_in_training_unlabeled_and_prediction(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        for suffix in COMMON:
            write(tmp_path / "train" / name / f"{name}.{suffix}")
    for number, suffix in enumerate(COMMON, 1):
        file = write(tmp_path / "other" / f"{number}.{suffix}")
        file.write_bytes(file.read_bytes() + b"\0" * number)  # no copy of a labeled one
    train, other = tmp_path / "train", tmp_path / "other"
    data = load_two_folders(train, other, train, image_size=16)
    assert data.test is not None and len(data.test.labels) == 2 * len(COMMON)
    assert (data.train.labels >= 0).sum() == 2 * len(COMMON)
    assert (data.train.labels == -1).sum() == len(COMMON) == len(find_images(other)[0])
    given = as_dataset(str(train), str(other), image_size=16)
    assert given.train.labels.tolist() == data.train.labels.tolist()


def test_other_files_are_counted_by_suffix_and_named(tmp_path: Path) -> None:
    for name in ("cat/1.png", "cat/2.png", "dog/1.png"):
        write(tmp_path / "train" / name)
    heic = ".heic" if ".heic" not in suffixes() else ".xyz"
    for name in ("cat/a.heic", "cat/b.heic", "dog/c.heic", "dog/d.heic", "dog/x.pdf", "dog/y"):
        (tmp_path / "train" / name.replace(".heic", heic)).write_text("?")
    (tmp_path / "other").mkdir()
    write(tmp_path / "other" / "1.bmp")
    (tmp_path / "other" / "film.mp4").write_text("?")
    data = load_two_folders(tmp_path / "train", tmp_path / "other", image_size=16)
    train, other = (note for note in data.notes if "suffix" in note)
    for word in (
        str(tmp_path / "train"),
        f"4 {heic} (a{heic}, b{heic}, c{heic}, ...)",
        "1 .pdf (x.pdf)",
        "1 without suffix (y)",
    ):
        assert word in train
    assert (
        ("pip install pillow-heif" in train) == (heic == ".heic")
        and "1 .mp4 (film.mp4)" in other
        and "heif" not in other
    )
    assert find_images(tmp_path / "other")[1] == [other]


def test_heif_is_read_where_pillow_heif_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if ".heic" not in suffixes():
        stand_in = types.ModuleType("pillow_heif")  # takes PNG behind eight bytes of its own for HEIF

        class StandIn(Image.Image):
            def __init__(self, file: io.BytesIO, name: str) -> None:
                super().__init__()
                found = Image.open(io.BytesIO(file.read()[8:]))
                found.load()
                self._mode, self._size, self._im = found.mode, found.size, found.im

        def register() -> None:
            Image.register_open("HEIF", StandIn, lambda prefix: prefix[4:8] == b"ftyp")  # type: ignore[arg-type]
            Image.register_extensions("HEIF", [".heic", ".heif"])

        stand_in.register_heif_opener = register  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "pillow_heif", stand_in)
        monkeypatch.setattr(Image, "ID", [*Image.ID])
        monkeypatch.setattr(Image, "OPEN", {**Image.OPEN})
        monkeypatch.setattr(Image, "EXTENSION", {**Image.EXTENSION})
        suffixes.cache_clear()
        stored = io.BytesIO()
        picture("png").save(stored, "PNG")
        (tmp_path / "a.HEIC").write_bytes(b"....ftyp" + stored.getvalue())
    else:
        picture("heic").save(tmp_path / "a.HEIC", "HEIF")
    try:
        assert [path.name for path in list_images(tmp_path)] == ["a.HEIC"]
        assert decode(tmp_path / "a.HEIC", 16).float().std() > 20
    finally:
        monkeypatch.undo()
        suffixes.cache_clear()


def test_a_wrong_suffix_does_not_matter_and_formats_without_a_signature_are_not_guessed(
    tmp_path: Path,
) -> None:
    picture("png").save(tmp_path / "a.jpg", "PNG")
    assert decode(tmp_path / "a.jpg", 16).float().std() > 20
    assert "TGA" in formats_for("a.tga") and "TGA" not in formats_for("a.jpg")
    assert not {"EPS", "MPEG", "HDF5"} & set(formats_for("a.eps"))


def test_the_log_names_what_is_left_out_of_a_run(tmp_path: Path) -> None:
    for name in ("cat/1.png", "dog/1.png"):
        write(tmp_path / name)
    (tmp_path / "cat" / "only.txt").write_text("?")
    (note,) = (note for note in load_folder(tmp_path, image_size=16).notes if "suffix" in note)
    assert "1 .txt (only.txt)" in note
