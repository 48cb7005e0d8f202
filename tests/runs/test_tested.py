"""Test images that a run has learned from."""

import json
from pathlib import Path

from PIL import Image

from ssl_mix.datasets.ahead import FilesAhead
from ssl_mix.datasets.originals import Form
from ssl_mix.runs.tested import learned_notes


def test_images_that_were_learned_from_are_told(tmp_path: Path) -> None:
    names = ("learned", "copy", "other", "new")
    files = [tmp_path / f"{name}.png" for name in names]
    for file, gray in zip(files, (1, 1, 2, 3), strict=True):
        Image.new("L", (8, 8), gray).save(file)
    learned = json.dumps([str(files[0]), str(files[2]), str(tmp_path / "gone.png")])
    (tmp_path / "files.json").write_text(learned)
    (note,) = learned_notes(tmp_path, FilesAhead(files[1:], Form(8)))
    assert note.startswith("2 of 3 test images are among the images that the run learned from, ")
    assert "copy.png for one" in note
    assert learned_notes(tmp_path, FilesAhead(files[3:], Form(8))) == []
    (tmp_path / "files.json").write_text("[")
    assert learned_notes(tmp_path, FilesAhead(files[:1], Form(8))) == []
