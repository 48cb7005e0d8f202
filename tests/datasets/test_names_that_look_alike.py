"""Files and classes that are named in lists and tables with accents in other characters than on the disk."""

import unicodedata
from pathlib import Path

import pytest
from PIL import Image

from ssl_mix.datasets import choose_split, load_table, load_two_folders, read_label_list
from ssl_mix.datasets.label_table import read_added_labels
from ssl_mix.segmentation.pairs import find_pairs
from ssl_mix.suites.truth import with_masks

FORMS = [("NFC", "NFD"), ("NFD", "NFC")]
NAME = "B\u00e4ckerei"


@pytest.mark.parametrize(("stored", "written"), FORMS)
def test_they_are_found(stored: str, written: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    disk, text = unicodedata.normalize(stored, NAME), unicodedata.normalize(written, NAME)
    names = (f"train/{disk}/{disk}.png", "train/dog/1.png", f"new/{disk}.png", f"masks/{text}.png")
    for number, name in enumerate(names):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), number).save(name)
    data = load_two_folders(Path("train"), Path("new"), image_size=8)
    label = data.classes.index(unicodedata.normalize("NFC", NAME))
    for name, content in (
        ("list.txt", f"{text}/{text}.png\n"),
        ("table.csv", f"file,label\ntrain/{text}/{text}.png,{text}\ntrain/dog/1.png,dog\n"),
        ("added.csv", f"file,label\nnew/{text}.png,{disk}\n"),
    ):
        Path(name).write_text(content, encoding="utf-8")
    (listed,) = read_label_list(Path("list.txt"), data)
    assert data.train.labels[listed] == label
    assert load_table(Path("table.csv"), image_size=8).classes == data.classes
    split = choose_split(data.train.labels, 2, seed=0, classes=data.classes)
    assert read_added_labels(Path("added.csv"), data, split) == {2: label}
    assert len(with_masks(Path("masks"), [Path(names[2])]).images) == 1
    Image.new("L", (8, 8)).save("masks/other.png")
    Image.new("L", (8, 8)).save("new/other.png")
    pairs = find_pairs(Path("new"), Path("masks"), 0.5, 0)
    assert len(pairs.train) + len(pairs.test) == 2 and len(pairs.notes) == 1
