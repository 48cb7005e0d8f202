"""``ssl-mix predict``, ``evaluate --test`` and ``pseudo-labels`` on whatever lies in somebody's folders."""

import csv
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from algorithm_tables import FROM_RUNS
from PIL import Image
from torch import Tensor

import ssl_mix
from ssl_mix.algorithms import ALGORITHMS
from ssl_mix.cli import evaluate
from ssl_mix.cli.main import main
from ssl_mix.runs.folder import SPLIT

QUICK = ["--steps", "4", "--batch-size", "4", "--threads", "1", "--net", "small-cnn", "--image-size", "16"]


@pytest.fixture(autouse=True)
def folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Images of two classes, the one dark, the other light."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    for part, count in (("train", 6), ("test", 3), ("new", 2)):
        for light, name in enumerate(("dark", "light")):
            folder = Path(part) if part == "new" else Path(part, name)
            folder.mkdir(parents=True, exist_ok=True)
            for number in range(count):
                pixels = generator.integers(128 * light, 128 * light + 128, (16, 16, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{name}{number}.png")


def train(*words: str) -> None:
    main(["train", "fixmatch", "--train", "train", "--labels-per-class", "2", *QUICK, "--out", "run", *words])


def rows(file: str) -> list[dict[str, str]]:
    return list(csv.DictReader(Path(file).read_text().splitlines()))


def test_one_row_for_each_file_and_the_reason_where_it_cannot_be_read(
    capsys: pytest.CaptureFixture[str],
) -> None:
    train()
    Path("new/broken.jpg").write_text("no image")
    os.mkfifo("new/pipe.jpg")
    for name in ("a.txt", "b.txt", "c.mp4"):
        Path("new", name).write_text("?")
    capsys.readouterr()
    os.symlink("dark1.png", "new/link.png")
    os.symlink("new", "elsewhere")
    again = ["new/dark0.png", "elsewhere/dark0.png", str(Path("new/light0.png").absolute()), "new"]
    main(["predict", "run", "new", *again, "train/dark/dark0.png", "--out", "p.csv", "--top", "2"])
    output, notes = capsys.readouterr()
    found = rows("p.csv")
    assert list(found[0]) == ["file", "class", "confidence", "class_2", "confidence_2", "error"]
    assert [row["file"] for row in found] == [
        "new/broken.jpg",
        "new/dark0.png",
        "new/dark1.png",
        "new/light0.png",
        "new/light1.png",
        "new/pipe.jpg",
        "train/dark/dark0.png",
    ]
    assert [row["error"] for row in found] == [
        "not an image of a known format",
        *[""] * 4,
        "a pipe, not a regular file",
        "",
    ]
    assert found[0]["class"] == found[0]["confidence_2"] == ""
    for row in found[1:5]:
        assert len(row["confidence"].partition(".")[2]) == 6
        assert float(row["confidence"]) + float(row["confidence_2"]) == pytest.approx(1, abs=2e-6)
    assert "5 predictions, and 2 files that cannot be read in p.csv" in output
    told = (
        "11 images are given more than once and answered once: new/link.png for one, which is new/dark1.png"
    )
    assert told in notes and notes.count("left out files in new") == 1
    assert "2 .txt (a.txt, b.txt), 1 .mp4 (c.mp4)" in notes and "cannot read new/broken.jpg" in notes
    answers = ssl_mix.load("run").predict_proba([Path(row["file"]) for row in found[1:5]])
    np.testing.assert_allclose(
        [float(row["confidence"]) for row in found[1:5]], answers.max(axis=1), atol=1e-6
    )


def test_the_exit_status_is_1_where_no_file_can_be_read() -> None:
    train()
    Path("bad").mkdir()
    Path("bad/1.png").write_bytes(b"")
    with pytest.raises(SystemExit) as stop:
        main(["predict", "run", "bad", "--out", "p.csv"])
    assert stop.value.code == 1 and [row["error"] for row in rows("p.csv")] == ["an empty file"]


def test_files_that_are_there_are_replaced_only_when_asked(capsys: pytest.CaptureFixture[str]) -> None:
    train()
    Path("mine.csv").write_text("mine")
    for command in (["predict", "run", "new"], ["pseudo-labels", "run"]):
        with pytest.raises(SystemExit) as stop:
            main([*command, "--out", "mine.csv"])
        assert stop.value.code == 2 and Path("mine.csv").read_text() == "mine"
        assert "mine.csv is there already" in capsys.readouterr().err
        main([*command, "--out", "mine.csv", "--overwrite"])
        assert len(rows("mine.csv")) >= 4
        Path("mine.csv").write_text("mine")


def test_a_test_folder_with_other_classes_is_scored_over_what_is_there(
    capsys: pytest.CaptureFixture[str],
) -> None:
    train("--test", "test")
    capsys.readouterr()
    Path("test/light").rename("test/blue")
    main(["evaluate", "run", "--test", "test", "--json"])
    output, notes = capsys.readouterr()
    found = json.loads(output)
    assert found["images"] == 3 and found["per_class"]["light"] is None and "notes" not in found
    assert found["accuracy"] == found["mean_class_accuracy"] == found["per_class"]["dark"]
    assert "3 images of 'blue'" in notes and "no image of 'light'" in notes
    same = ssl_mix.load("run").evaluate("test")
    assert same.per_class == found["per_class"] and len(same.notes) == 2
    main(["evaluate", "run", "--test", "test"])
    assert "3 test images" in capsys.readouterr().out


@pytest.mark.parametrize(
    "name", [n for n, kind in ALGORITHMS.items() if kind.unlabeled_views and n not in FROM_RUNS]
)
def test_what_passed_is_told_by_algorithms_with_a_threshold(name: str) -> None:
    main(["train", name, "--train", "train", "--labels-per-class", "2", *QUICK, "--out", "run"])
    main(["pseudo-labels", "run", "--out", "p.csv"])
    trained = ssl_mix.load("run")
    algorithm, found = trained.run.algorithm, rows("p.csv")
    assert found and all(len(row["confidence"].partition(".")[2]) == 6 for row in found)
    assert (Path("run") / SPLIT).exists()
    told = {row["passed"] for row in found}
    if name in ("mean-teacher", "pi-model", "mixmatch", "remixmatch", "vat", "s4l"):
        assert told == {""} and {row["first_passed"] + row["last_passed"] for row in found} == {""}
        assert {label.passed for label in trained.pseudo_labels()} == {None}
        return
    assert told <= {"0", "1"} and None not in {label.passed for label in trained.pseudo_labels()}
    if name in ("fixmatch", "pseudo-label", "uda"):
        for row in found:
            assert (row["passed"] == "1") == (float(row["confidence"]) >= algorithm.threshold), row


def test_a_threshold_that_all_pass_is_none() -> None:
    assert ALGORITHMS["fine-tuning"](threshold=0.5).selects and not ALGORITHMS["fine-tuning"]().selects
    assert ALGORITHMS["self-tuning"](threshold=0.5).selects and not ALGORITHMS["self-tuning"]().selects


def test_large_images_are_refused_before_their_memory_is_taken(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ssl_mix.runs.memory.free_memory", lambda device: 2**26)
    passed: list[Any] = []  # through the network
    monkeypatch.setattr("ssl_mix.engine.trainer.check_sizes", lambda *given: passed.append(given))
    words = ["--train", "train", "--labels-per-class", "2", *QUICK, "--image-size", "512", "--out", "large"]
    with pytest.raises(SystemExit) as stop:
        main(["train", "fixmatch", *words])
    message = capsys.readouterr().err
    assert stop.value.code == 2 and not Path("large").exists()
    assert not passed
    assert "a step of 4 images at 512x512 pixels needs" in message and "0.1 GiB are free" in message
    side = int(message.partition("at most --image-size ")[2].split()[0])
    assert 16 < side < 512 and "Traceback" not in message
    train("--image-size", "24")


def test_the_estimate_is_no_more_than_what_a_step_takes() -> None:
    from ssl_mix.runs.memory import layer_bytes

    net = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Conv2d(8, 4, 3, stride=2))
    assert layer_bytes(net, (3, 16, 16)) == 4 * (8 * 14 * 14 + 4 * 6 * 6)
    assert layer_bytes(torch.nn.Embedding(3, 4), (3, 16, 16)) == 0  # looks at numbers


@pytest.mark.parametrize("held_out", [True, False])
def test_images_below_the_line_are_none_of_these(held_out: bool, capsys: pytest.CaptureFixture[str]) -> None:
    train("--labels-per-class", "4", *(["--validation", "0.5"] if held_out else []))
    trained, split = ssl_mix.load("run", device="cpu"), json.loads(Path("run", SPLIT).read_text())
    files = json.loads(Path("run/files.json").read_text())
    own = [files[position] for position in split["validation" if held_out else "labeled"]]

    def energies(paths: list[str]) -> list[float]:
        images = torch.stack([torch.from_numpy(np.array(Image.open(p))).permute(2, 0, 1) for p in paths])
        with torch.no_grad():
            logits = trained.net(trained.augmentation.normalize(trained.augmentation.plain(images)))
        return logits.logsumexp(dim=1).tolist()

    line = sorted(energies(own))[int(0.5 * (len(own) - 1))]
    new = sorted(str(path) for path in Path("new").iterdir())
    capsys.readouterr()
    main(["predict", "run", "new", "--out", "p.csv", "--reject", "0.5", "--top", "2"])
    found, sure = rows("p.csv"), dict(zip(new, energies(new), strict=True))
    for row in found:
        rejected = sure[row["file"]] < line
        assert (row["class"] == "none of these") is rejected
        assert (row["confidence"] == "") is rejected and row["class_2"] in ("dark", "light")
    count = sum(row["class"] == "none of these" for row in found)
    said = " ".join(capsys.readouterr().out.split())
    assert f"none of these: {count} images; 50.0% of {len(own)} images with labels that were" in said
    assert ("held out lie" if held_out else "learned from lie") in said


def test_a_line_is_for_runs_and_a_share(capsys: pytest.CaptureFixture[str]) -> None:
    train()
    with pytest.raises(SystemExit):
        main(["predict", "run", "new", "--out", "p.csv", "--reject", "1"])
    assert "in [0, 1), got 1.0" in " ".join(capsys.readouterr().err.split())


def test_bfloat16_moves_confidences_a_little(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    train("--test", "test")
    for amp in ("off", "bf16"):
        main(["predict", "run", "new", "--out", f"{amp}.csv", "--amp", amp])
    exact, rounded = ([float(row["confidence"]) for row in rows(f"{amp}.csv")] for amp in ("off", "bf16"))
    assert exact != rounded and rounded == pytest.approx(exact, abs=0.02)
    for faster, chosen in ((True, "bf16"), (False, "off")):
        monkeypatch.setattr("ssl_mix.runs.predicting.answers_faster", lambda *_, found=faster: found)
        capsys.readouterr()
        main(["predict", "run", "new", "--out", "auto.csv", "--amp", "auto", "--overwrite"])
        assert rows("auto.csv") == rows(f"{chosen}.csv")
        told = "bfloat16" if faster else "float32"
        assert f"note: computing in {told}, the faster one here" in capsys.readouterr().err
    answered: list[Tensor] = []
    monkeypatch.setattr(evaluate, "tell", lambda found, *_: answered.append(found.logits))
    for amp in ("off", "bf16"):
        main(["evaluate", "run", "--amp", amp])
    ours, theirs = answered
    assert not torch.equal(ours, theirs) and torch.allclose(ours, theirs, atol=0.05)
