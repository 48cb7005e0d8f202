"""The script that makes the archive of photographs: what it takes, and that it always makes the same."""

import importlib
from pathlib import Path
from types import ModuleType
from zipfile import ZipFile

import numpy as np
import pytest
from PIL import Image

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return importlib.import_module("make_caltech_mini")


def test_the_archive_holds_the_first_of_each_class_and_is_the_same_again(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "CLASSES", (("emu",), ("ant",)))
    monkeypatch.setattr(script, "MOST", {"train": 2, "test": 1})
    for part in ("train", "test"):
        for name in ("ant", "bee", "emu"):
            (tmp_path / part / name).mkdir(parents=True)
            for number in range(3):
                pixels = np.full((130, 140, 3), 40 * number + len(part), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / part / name / f"image_000{number}.jpg")
    archives = [tmp_path / "a.zip", tmp_path / "b.zip"]
    for archive in archives:
        script.main([str(tmp_path), "--out", str(archive)])
    assert archives[0].read_bytes() == archives[1].read_bytes()
    with ZipFile(archives[0]) as opened:
        about, *images = opened.namelist()
        assert about == "caltech_mini.txt" and images == [
            "train/ant/image_0000.webp",
            "train/ant/image_0001.webp",
            "train/emu/image_0000.webp",
            "train/emu/image_0001.webp",
            "test/ant/image_0000.webp",
            "test/emu/image_0000.webp",
        ]
        image = Image.open(opened.open("train/emu/image_0001.webp"))
    assert image.size == (128, 128) and abs(int(np.asarray(image).mean()) - 45) <= 2
