"""``ssl-mix suggest``, ``resume --label`` and ``audit`` from end to end."""

import csv
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import ssl_mix
from ssl_mix.cli.main import main
from ssl_mix.datasets import load_digits_data

QUICK = ["--steps", "6", "--batch-size", "8", "--threads", "1", "--net", "small-cnn"]
DIGITS = ["--data", "digits", "--labels-per-class", "3", *QUICK]


@pytest.fixture(autouse=True)
def folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Labeled and unlabeled images of two classes, the one dark, the other light."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    for part, count in (("labeled", 6), ("unlabeled", 10)):
        for light, name in enumerate(("dark", "light")):
            folder = Path(part) if part == "unlabeled" else Path(part, name)
            folder.mkdir(parents=True, exist_ok=True)
            for number in range(count):
                pixels = generator.integers(128 * light, 128 * light + 128, (16, 16, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{name}{number}.png")


def train(*words: str, out: str = "run") -> None:
    parts = ["--labeled", "labeled", "--unlabeled", "unlabeled", "--image-size", "16"]
    main(["train", "fixmatch", *parts, *QUICK, "--out", out, *words])


def rows(file: str) -> list[dict[str, str]]:
    return list(csv.DictReader(Path(file).read_text().splitlines()))


def fill(file: str, labels: list[str]) -> None:
    """Write labels into the first rows of a table."""
    found = rows(file)
    for row, label in zip(found, labels, strict=False):
        row["label"] = label
    with open(file, "w", newline="") as handle:
        writer = csv.DictWriter(handle, list(found[0]))
        writer.writeheader()
        writer.writerows(found)


def contents(folder: str) -> dict[str, str]:
    files = (path for path in Path(folder).rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def mistake(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 2
    return capsys.readouterr().err


def split(run: str) -> dict[str, list[int]]:
    found: dict[str, list[int]] = json.loads(Path(run, "split.json").read_text())
    return found


@pytest.mark.parametrize("by", ["typicality", "badge", "margin", "entropy", "diverse", "random"])
def test_suggestions_are_unlabeled_images_with_what_the_run_says(
    by: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["train", "fixmatch", *DIGITS, "--out", "run"])
    before = contents("run")
    main(["suggest", "run", "--n", "12", "--by", by, "--out", "s.csv"])
    assert contents("run") == before
    found = rows("s.csv")
    assert list(found[0]) == ["index", "label", "class", "confidence", "score"] and len(found) == 12
    places = [int(row["index"]) for row in found]
    assert len({*places}) == 12 and {*places} <= {*split("run")["unlabeled"]}
    images = load_digits_data().train.images
    [pixels] = images.batches([torch.tensor(places)], torch.device("cpu"))
    answers = ssl_mix.load("run").predict_proba(pixels)
    np.testing.assert_allclose([float(row["confidence"]) for row in found], answers.max(axis=1), atol=1e-5)
    assert [row["label"] for row in found] == [""] * 12
    with Image.open("s.jpg") as sheet:
        assert sheet.format == "JPEG" and sheet.size[0] > 1000
    assert f"by {by}: as asked for" in capsys.readouterr().out


def test_the_default_is_chosen_with_a_reason_and_more_than_there_are_gives_all(
    capsys: pytest.CaptureFixture[str],
) -> None:
    train()
    main(["suggest", "run", "--n", "1000", "--out", "s.csv"])
    said = capsys.readouterr().out
    assert "20 of 20 unlabeled images" in said
    assert "Chosen  by badge: 12 labels of 2 classes are 5 or more for each" in said
    assert {Path(row["file"]).name for row in rows("s.csv")} == {
        path.name for path in Path("unlabeled").iterdir()
    }


@pytest.mark.parametrize("more", [[], ["--tune", "head", "--pretrained", "first"]], ids=["all", "head"])
def test_labels_come_back_into_a_new_run_that_resumes(more: list[str]) -> None:
    train(out="first")
    train(*more, out="run")
    main(["suggest", "run", "--n", "6", "--by", "margin", "--out", "s.csv"])
    fill("s.csv", ["dark", "light", "", "light"])
    named = [row["file"] for row in rows("s.csv") if row["label"]]
    before = contents("run")
    main(["resume", "run", "--label", "s.csv", "--out", "run2", "--steps", "8"])
    assert contents("run") == before
    old, new = split("run"), split("run2")
    files = json.loads(Path("run2", "files.json").read_text())
    added = sorted({*new["labeled"]} - {*old["labeled"]})
    assert [files[place] for place in added] == sorted(named, key=files.index)
    classes: dict[int, int] = dict(map(tuple, new["added"]))
    assert [classes[files.index(name)] for name in named] == [0, 1, 1]
    assert {*new["unlabeled"]} == {*old["unlabeled"]} - {*added}
    Path("s.csv").unlink()  # the new run holds its labels itself
    main(["resume", "run2", "--steps", "10"])
    assert ssl_mix.load("run2").step == 10
    main(["suggest", "run2", "--n", "30", "--out", "more.csv"])
    assert len(rows("more.csv")) == 17
    fill("more.csv", ["dark"])
    main(["resume", "run2", "--label", "more.csv", "--out", "run3"])
    assert len(split("run3")["added"]) == 4


def test_labels_of_a_data_set_by_index_win_over_its_own() -> None:
    main(["train", "fixmatch", *DIGITS, "--out", "run"])
    main(["suggest", "run", "--n", "2", "--by", "random", "--out", "s.csv"])
    place = int(rows("s.csv")[0]["index"])
    other = str((int(load_digits_data().train.labels[place]) + 1) % 10)
    fill("s.csv", [other])
    main(["resume", "run", "--label", "s.csv", "--out", "run2"])
    assert split("run2")["added"] == [[place, int(other)]]
    main(["resume", "run2", "--steps", "8"])


def test_what_a_table_of_labels_must_not_say(capsys: pytest.CaptureFixture[str]) -> None:
    train("--validation", "0.2")
    main(["suggest", "run", "--n", "4", "--out", "s.csv"])
    before = contents("run")
    held_out = json.loads(Path("run", "files.json").read_text())[split("run")["validation"][0]]
    labeled = json.loads(Path("run", "files.json").read_text())[split("run")["labeled"][0]]
    name = rows("s.csv")[0]["file"]
    wrong = {
        f"file,label\n{name},drak\n": "no class of the run, 'drak'. Did you mean 'dark'?",
        f"file,label\n{name},\n": "no row has a label",
        "file,label\nnowhere.png,dark\n": "names no image that the run learns from, 'nowhere.png'",
        f"file,label\n{name},dark\n{name},dark\n": "names an image for the second time",
        f"file,label\n{held_out},dark\n": "names an image that is held out",
        f"file,label\n{labeled},light\n": "gives an image another label than it has",
        f"file,label\n{labeled},dark\n": "the run has every one of its labels already",
        "index,label\n3,dark\n": "no column 'file'",
    }
    for text, message in wrong.items():
        Path("t.csv").write_text(text)
        assert message in mistake(["resume", "run", "--label", "t.csv", "--out", "run2"], capsys)
    assert "itself" in mistake(["resume", "run", "--label", "s.csv", "--out", "run", "--overwrite"], capsys)
    assert "name it with --out" in mistake(["resume", "run", "--label", "s.csv"], capsys)
    assert "give them with --label" in mistake(["resume", "run", "--out", "run2"], capsys)
    assert not Path("run2").exists() and contents("run") == before


def test_nothing_is_labeled_yet(capsys: pytest.CaptureFixture[str]) -> None:
    """From a network's features to a run that learns from what was labeled."""
    train(out="first")
    Path("unlabeled/broken.png").write_text("no image")
    chosen = ["--n", "8", "--image-size", "16", "--out", "s.csv"]
    main(["suggest", "--unlabeled", "unlabeled", "--net", "first", *chosen])
    said, notes = capsys.readouterr()
    assert "--unlabeled unlabeled --image-size 16 --out RUN" in said  # what is seen stays of one size
    assert "8 of 20 unlabeled images" in said and "nothing is labeled yet" in said and "broken.png" in notes
    found = rows("s.csv")
    assert [row["class"] for row in found] == [""] * 8
    fill("s.csv", ["light" if "light" in row["file"] else "dark" for row in found])
    parts = ["--table", "s.csv", "--unlabeled", "unlabeled", "--image-size", "16"]
    main(["train", "fixmatch", *parts, *QUICK, "--out", "run"])
    assert (len(split("run")["labeled"]), len(split("run")["unlabeled"])) == (8, 12)
    words = ["suggest", "--unlabeled", "unlabeled", "--net", "first", "--by", "margin", "--out", "m.csv"]
    assert "nothing is labeled yet" in mistake(words, capsys)


def test_an_audit_finds_what_was_done_to_a_folder(capsys: pytest.CaptureFixture[str]) -> None:
    train(out="first")
    Path("labeled/dark/light0.png").write_bytes(Path("labeled/light/light0.png").read_bytes())
    Path("labeled/light/dark5.png").write_bytes(Path("labeled/dark/dark5.png").read_bytes())
    Path("labeled/dark/dark5.png").unlink()  # moved to the wrong class, the other is in both
    main(["audit", "--data", "labeled", "--net", "first", "--image-size", "16", "--out", "a.csv"])
    found = rows("a.csv")
    assert list(found[0]) == ["file", "reason", "label", "suggested", "score", "other"]
    twice = [row for row in found if row["reason"] == "copy in another class"]
    assert {Path(row["file"]).name for row in twice} == {"light0.png"} and len(twice) == 2
    wrong = {Path(row["file"]).name: row for row in found if row["reason"] == "another class"}
    assert (wrong["dark5.png"]["label"], wrong["dark5.png"]["suggested"]) == ("light", "dark")
    assert Path("a.jpg").stat().st_size > 1000
    assert "labeled images are doubtful" in capsys.readouterr().out


def test_an_audit_of_a_run_leaves_it_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    train()
    before = contents("run")
    main(["audit", "run", "--out", "a.csv"])
    assert contents("run") == before and Path("a.csv").exists()
    assert "may have learned wrong ones by heart" in capsys.readouterr().err


def test_few_labels_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    main(["train", "fixmatch", *DIGITS, "--out", "run"])
    main(["audit", "run", "--out", "a.csv"])
    assert "10 classes have fewer than 5 labeled images" in capsys.readouterr().err


def test_what_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for command, option in (("suggest", "unlabeled"), ("audit", "data")):
        assert f"--{option} DIR" in mistake([command, "--out", "s.csv"], capsys)
        assert ".csv file" in mistake([command, "run", "--out", "s.txt"], capsys)
        assert "holds no run" in mistake([command, "run", "--out", "s.csv"], capsys)
    assert "has no weights" in mistake(
        ["suggest", "--unlabeled", "unlabeled", "--net", "small-cnn", "--out", "s.csv"], capsys
    )
    assert "n must be above 0" in mistake(["suggest", "run", "--n", "0", "--out", "s.csv"], capsys)
    Path("s.jpg").touch()
    assert "s.jpg is there already" in mistake(["suggest", "run", "--out", "s.csv"], capsys)
