"""What newcomers met: stray files, places that cannot be written, images that are gone, wrong folders."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ssl_mix.cli.check import with_algorithm
from ssl_mix.cli.main import main, message_of
from ssl_mix.datasets.class_folders import is_part
from ssl_mix.datasets.tables import read_table
from ssl_mix.datasets.tar_shards import shards_at
from ssl_mix.errors import UserError
from ssl_mix.labeling.findings import trust_note
from ssl_mix.recipes.body import shown
from ssl_mix.reports.csv_files import write_csv
from ssl_mix.runs.folder import chosen_by_auto

SMALL = ["--image-size", "8", "--batch-size", "2", "--steps", "1", "--threads", "1", "--net", "small-cnn"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("newcomer")
    for name in ("labeled/cat", "labeled/dog", "unlabeled"):
        (root / name).mkdir(parents=True)
        for number in range(4):
            pixels = np.random.default_rng([sum(map(ord, name)), number]).integers(
                0, 255, (8, 8, 3), dtype=np.uint8
            )
            Image.fromarray(pixels).save(root / name / f"{name[-3:]}{number}.png")
    return root


def words_of(root: Path, out: Path) -> list[str]:
    of = ["--labeled", str(root / "labeled"), "--unlabeled", str(root / "unlabeled")]
    return ["train", "fixmatch", *of, *SMALL, "--out", str(out)]


def told(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    with pytest.raises(SystemExit, match="2"):
        main(words)
    return capsys.readouterr().err


def test_a_stray_archive_among_images_is_left_out(folders: Path, tmp_path: Path) -> None:
    root = shutil.copytree(folders, tmp_path / "root")
    (root / "unlabeled" / "old.tar").write_bytes(b"no archive")
    (root / "labeled" / "old.tar").write_bytes(b"no archive")
    assert shards_at(str(root / "unlabeled")) == shards_at(str(root / "labeled")) == []
    for number in range(4):
        (root / "unlabeled" / f"{number}.tar").write_bytes(b"")
    with pytest.raises(UserError, match="holds 5 tar archives and 4 images: move one kind elsewhere"):
        shards_at(str(root / "unlabeled"))


@pytest.mark.parametrize("place", ["file", "file/below", "file/below/deeper"])
def test_a_run_cannot_be_where_a_file_is(
    place: str, folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    said = told(words_of(folders, tmp_path / place), capsys)
    assert "choose another --out" in said and "Errno" not in said


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="there is no /proc here")
def test_where_nothing_can_be_made(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = told(words_of(folders, Path("/proc/run")), capsys)
    assert said.startswith("ssl-mix: cannot write /proc/run, /proc is no place for new files")


def test_images_that_are_gone_are_named(
    folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = shutil.copytree(folders, tmp_path / "root")
    main(words_of(root, tmp_path / "run"))
    lost = root / "unlabeled" / "led2.png"
    content = lost.read_bytes()
    lost.unlink()
    said = told(["resume", str(tmp_path / "run")], capsys)
    assert f"1 image that the run learned from ({lost}) cannot be found or read any more" in said
    lost.write_bytes(content)
    shutil.copy(lost, root / "unlabeled" / "new.png")
    said = told(["resume", str(tmp_path / "run")], capsys)
    assert "1 image that the run did not learn from" in said and "new.png" in said


def test_a_named_data_set_where_folders_of_images_are(
    folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = folders / "labeled"
    words = ["check", "supervised", "--data", "cifar10", "--data-dir", str(place)]
    assert f"for the folders of images in {place}, in place of cifar10: --train {place}" in told(
        words, capsys
    )


def test_check_needs_no_algorithm() -> None:
    assert with_algorithm(["--table", "t.csv"]) == ["supervised", "--table", "t.csv"]
    assert with_algorithm(["fixmatch", "--table", "t.csv"])[0] == "fixmatch"
    assert with_algorithm(["--table", "t.csv", "fixmatch"])[0] == "--table"


def test_a_full_disk_is_called_so() -> None:
    said = message_of(OSError(28, "No space left on device", "run/x.csv"))
    assert said.startswith("run/x.csv: the disk is full") and "Errno" not in said
    assert message_of(PermissionError(13, "Permission denied", "x")) == "x: permission denied"


def test_a_table_that_excel_reads(tmp_path: Path) -> None:
    rows = [["file", "label"], ["b\u00e4r.png", "B\u00e4r"]]
    write_csv(tmp_path / "named.csv", rows)
    write_csv(tmp_path / "plain.csv", [["file", "label"], ["a.png", "a"]])
    assert (tmp_path / "named.csv").read_bytes().startswith(b"\xef\xbb\xbffile")
    assert (tmp_path / "plain.csv").read_bytes().startswith(b"file")
    (tmp_path / "b\u00e4r.png").write_bytes(b"x")
    assert list(read_table(tmp_path / "named.csv", "labels")[1]) == ["B\u00e4r"]  # what takes tables back


def test_what_auto_chose_is_the_name_of_its_run(tmp_path: Path) -> None:
    assert chosen_by_auto(tmp_path) is None
    (tmp_path / "auto.json").write_text(json.dumps({"chosen": "whitened 2x"}))
    assert chosen_by_auto(tmp_path) == "whitened 2x"
    (tmp_path / "auto.json").write_text("[")
    assert chosen_by_auto(tmp_path) is None


def test_training_the_body_is_shown() -> None:
    steps: list[tuple[str, int, int]] = []
    shown(lambda *step: steps.append(step), 2, 5)(3, 200)
    assert steps == [("training the body, fold 2 of 5, step", 3, 200)]


def test_few_labels_make_a_list_that_says_so() -> None:
    few = torch.tensor([0, 1, 0, 1])
    half = torch.tensor([[0.9, 0.1]] * 4)
    assert "of 4 labels, 2 to a class in the median, the judge agrees with 50%" in trust_note(half, few)
    many = torch.arange(2).repeat(30)
    assert trust_note(torch.eye(2)[many], many) == ""


def test_names_of_parts_with_more_behind_them() -> None:
    assert all(map(is_part, ("train_set", "Test-Images", "valdata", "TEST", "validation split")))
    assert not any(map(is_part, ("trainers", "sunset", "image_set", "test tube", "data")))


def test_entries_of_a_weight_file_are_no_flags(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"optimizer": {"x": torch.ones(2)}}, tmp_path / "w.pth")
    words = ["check", "supervised", "--data", "digits", "--net", "small-cnn", "--threads", "1"]
    said = told([*words, "--pretrained", str(tmp_path / "w.pth")], capsys)
    assert "'optimizer': 1 tensors" in said and "--optimizer" not in said
