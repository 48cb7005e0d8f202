"""Images inside tar archives and tables are those of the files that were packed, and so are their labels."""

import importlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ssl_mix.datasets import DATASETS, DataSet, as_dataset, decode
from ssl_mix.datasets.huggingface_data import open_table
from ssl_mix.datasets.tar_shards import shards_at
from ssl_mix.errors import UserError
from ssl_mix.runs.data_options import DataOptions

CPU = torch.device("cpu")


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    folder = tmp_path / "files"
    folder.mkdir()
    for number in range(6):
        noise = np.random.default_rng(number).integers(0, 256, (9, 9 + number, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / f"{number}.{'jpg' if number % 2 else 'png'}")
    return sorted(folder.iterdir())


def add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def shard(path: Path, files: list[Path], labels: list[Any] | None, kind: str = "cls") -> Path:
    """An archive in the naming of WebDataset."""
    path.parent.mkdir(exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for number, file in enumerate(files):
            if labels is not None and labels[number] is not None:
                text = json.dumps({"label": labels[number]}) if kind == "json" else str(labels[number])
                add(tar, f"part/{file.stem}.{kind}", text.encode())
            add(tar, f"part/{file.stem}{file.suffix}", file.read_bytes())
            add(tar, f"part/{file.stem}.note.txt", b"passed over")
    return path


def pixels(data: DataSet) -> torch.Tensor:
    return next(iter(data.train.images.batches([torch.arange(len(data.train.images))], CPU)))


@pytest.mark.parametrize("memory", [None, 0])
def test_archives_are_a_data_set_with_images_in_any_order(
    files: list[Path], tmp_path: Path, memory: int | None
) -> None:
    shard(tmp_path / "train" / "000.tar", files[:3], [1, 0, None])
    shard(tmp_path / "train" / "001.tar", files[3:], ["1", "0", "-1"])
    data = DATASETS["folder"](
        tmp_path,
        train=tmp_path / "train",
        image_size=8,
        memory_budget=memory,
        workers=0,
    )
    assert data.classes == ("0", "1") and data.train.labels.tolist() == [1, 0, -1, 1, 0, -1]
    assert torch.equal(pixels(data), torch.stack([decode(file, 8) for file in files]))
    (batch,) = data.train.images.batches([torch.tensor([5, 0, 5])], CPU)
    assert torch.equal(batch, torch.stack([decode(files[at], 8) for at in (5, 0, 5)]))


def test_names_in_json_are_classes_and_other_archives_are_unlabeled_and_test(
    files: list[Path], tmp_path: Path
) -> None:
    train = shard(tmp_path / "a" / "train.tar", files[:2], ["wren", "robin"], "json")
    more = shard(tmp_path / "a" / "more.tar", files[2:5], None)
    test = shard(tmp_path / "a" / "test.tar", files[5:], ["robin"], "cls")
    options = DataOptions(labeled=str(train), unlabeled=str(more), test=str(test), image_size=8)
    data = options.load()
    assert data.classes == ("robin", "wren") and data.train.labels.tolist() == [1, 0, -1, -1, -1]
    assert data.test is not None and data.test.labels.tolist() == [0]
    assert data.fingerprint() == options.absolute().load().fingerprint()


def test_which_archives_a_path_means(tmp_path: Path) -> None:
    for number in range(12):
        (tmp_path / f"a-{number:03}.tar").touch()
    every = [str(tmp_path / f"a-{number:03}.tar") for number in range(12)]
    assert shards_at(str(tmp_path)) == shards_at(str(tmp_path / "a-*.tar")) == every
    assert shards_at(str(tmp_path / "a-{009..011}.tar")) == every[9:]
    assert shards_at(every[0]) == every[:1] and shards_at(str(tmp_path / "none")) == []


def test_what_is_wrong_with_an_archive_is_said(files: list[Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="labeled: expected an uncompressed tar archive at .*none.tar"):
        as_dataset(tmp_path / "none.tar")
    with tarfile.open(tmp_path / "small.tar", "w:gz") as tar:
        add(tar, "0.jpg", b"")
    with pytest.raises(UserError, match="expected an uncompressed tar archive at .*small.tar"):
        as_dataset(tmp_path / "small.tar")
    with tarfile.open(tmp_path / "two.tar", "w") as tar:
        add(tar, "0.jpg", b"")
        add(tar, "0.png", b"")
    with pytest.raises(UserError, match="expected one image in a sample, got 2 in 0 of "):
        as_dataset(tmp_path / "two.tar")
    with tarfile.open(tmp_path / "none.tar", "w") as tar:
        add(tar, "0.txt", b"")
    with pytest.raises(UserError, match="no image in .*none.tar, expected KEY.jpg and KEY.cls"):
        as_dataset(tmp_path / "none.tar")


def test_a_broken_image_in_an_archive_is_left_out_and_named(files: list[Path], tmp_path: Path) -> None:
    files[1].write_bytes(b"no image")
    data = as_dataset(shard(tmp_path / "a.tar", files, [0, 1, 1, 0, 1, 0]), image_size=8)
    assert data.train.labels.tolist() == [0, 1, 0, 1, 0]
    assert any("a.tar/part/1.jpg (not an image of a known format)" in note for note in data.notes)


def test_without_the_library_its_data_sets_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr("importlib.import_module", none)
    with pytest.raises(UserError, match="pip install 'ssl-mix\\[huggingface\\]'"):
        DataOptions(train="hf:beans").load()


def huggingface() -> Any:
    """The library, where it is installed; the folder of data sets here has its name."""
    try:
        library = importlib.import_module("datasets")
        return library.Dataset and library
    except (ImportError, AttributeError):
        pytest.skip("needs Hugging Face's datasets: pip install 'ssl-mix[huggingface]'")


def table(files: list[Path], labels: list[int]) -> Any:
    library = huggingface()
    features = library.Features(
        {"image": library.Image(), "label": library.ClassLabel(names=["wren", "robin"])}
    )
    images = [{"bytes": file.read_bytes(), "path": file.name} for file in files]
    arrow, parquet = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    columns = arrow.table({"image": images, "label": labels}, schema=features.arrow_schema)
    folder = files[0].parent.parent / "parquet"
    folder.mkdir()
    parquet.write_table(columns, folder / "train-00000.parquet")
    return library.load_dataset(str(folder), split="train", cache_dir=str(folder.parent / "cache"))


@pytest.mark.parametrize("kind", ["object", "saved", "parquet"])
def test_tables_of_hugging_face_are_data_sets(files: list[Path], tmp_path: Path, kind: str) -> None:
    found: Any = table(files, [0, 1, 1, 0, -1, 1])
    folder = tmp_path / ("saved" if kind == "saved" else "parquet")
    if kind == "saved":
        found.save_to_disk(folder)
    data = as_dataset(found if kind == "object" else f"hf:{folder}", image_size=8, memory_budget=0, workers=1)
    assert data.classes == ("wren", "robin") and data.train.labels.tolist() == [0, 1, 1, 0, -1, 1]
    assert torch.equal(pixels(data), torch.stack([decode(file, 8) for file in files]))
    again = [as_dataset(found, image_size=8, cache_images=tmp_path / "kept") for _ in range(2)]
    assert "decoded 6" in again[0].notes[0] and "are read from" in again[1].notes[0]
    assert torch.equal(pixels(again[1]), pixels(data))
    if kind == "parquet":
        with pytest.raises(UserError, match="has the splits train, expected other: name one, hf:.*@train"):
            open_table(f"hf:{folder}@other", "labeled")
