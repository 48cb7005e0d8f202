import csv
import json
from pathlib import Path

import pytest
import torch
from matplotlib.figure import Figure

from ssl_mix.cli.evaluate import suite_names
from ssl_mix.cli.main import main
from ssl_mix.errors import UserError
from ssl_mix.runs.answered import answer_test_part
from ssl_mix.runs.trained import load_trained
from ssl_mix.suites import SUITES, Scene, Suite, SuiteOptions


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("suites") / "run"
    main(
        [
            "train",
            "supervised",
            "--data",
            "digits",
            "--labels-per-class",
            "4",
            "--steps",
            "4",
            "--out",
            str(folder),
        ]
    )
    return folder


@pytest.fixture(scope="module")
def scene(run: Path) -> Scene:
    return Scene(answer_test_part(load_trained(run, "cpu")))


def impossible(scene: Scene) -> dict[str, float]:
    raise UserError("there is no moon in the pictures")


def plain(numbers: dict[str, float]) -> list[tuple[str, str]]:
    return [(name, f"{value:.0f} images") for name, value in numbers.items() if name == "seen"]


COUNTED = Suite("counts", lambda scene: {"seen": len(scene.answered.labels)}, plain, lambda _: Figure())
IMPOSSIBLE = Suite("fails", impossible, plain, lambda _: None)


def test_every_suite_is_printed_kept_and_drawn(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SUITES, "counted", COUNTED)
    capsys.readouterr()
    main(["evaluate", str(run), "--suite", "counted"])
    assert "360 images" in capsys.readouterr().out
    main(["evaluate", str(run), "--suite", "accuracy, counted", "--json"])
    said = json.loads(capsys.readouterr().out)
    kept = json.loads((run / "evaluation.json").read_text())["suites"]
    assert said["counted"] == {"seen": 360}
    about = {
        "step": 4,
        "weights": "last",
        "test": None,
        "crops": "center",
        "among_classes": False,
        "amp": "off",
    }
    assert kept["counted"] == {**about, "seen": 360}
    assert kept["accuracy"]["accuracy"] == said["accuracy"]
    rows = list(csv.reader((run / "evaluation/confusion.csv").read_text().splitlines()))
    assert sum(int(cell) for row in rows[1:] for cell in row[1:]) == 360
    assert (run / "evaluation/counted.png").read_bytes().startswith(b"\x89PNG")


def test_a_suite_that_cannot_be_run_is_told_and_the_others_are_run(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SUITES, "moon", IMPOSSIBLE)
    monkeypatch.setitem(SUITES, "counted", COUNTED)
    capsys.readouterr()
    with pytest.raises(SystemExit) as stopped:
        main(["evaluate", str(run), "--suite", "moon,counted"])
    output, notes = capsys.readouterr()
    assert stopped.value.code == 1
    assert "no moon: there is no moon in the pictures" in notes and "360 images" in output
    assert "moon" not in json.loads((run / "evaluation.json").read_text())["suites"]


def test_what_was_measured_is_kept_though_the_next_suite_breaks_off(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_large(scene: Scene) -> dict[str, float]:
        raise RuntimeError("out of memory")

    def interrupted(scene: Scene) -> dict[str, float]:
        raise KeyboardInterrupt

    monkeypatch.setitem(SUITES, "large", Suite("fails", too_large, plain, lambda _: None))
    monkeypatch.setitem(SUITES, "long", Suite("fails", interrupted, plain, lambda _: None))
    monkeypatch.setitem(SUITES, "first", COUNTED)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        main(["evaluate", str(run), "--suite", "large,first,long"])
    assert "no large: out of memory" in capsys.readouterr().err
    assert json.loads((run / "evaluation.json").read_text())["suites"]["first"]["seen"] == 360


def test_an_unknown_suite_is_refused_before_anything_is_read(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["evaluate", "nowhere", "--suite", "acuracy"])
    assert stopped.value.code == 2 and "Did you mean 'accuracy'?" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", [{"limit": -3}, {"limit": 0}, {"suite_seed": -1}, {"attention_mass": 0.0}])
def test_numbers_that_mean_nothing_are_refused_before_anything_is_read(
    wrong: dict[str, float], capsys: pytest.CaptureFixture[str]
) -> None:
    ((name, value),) = wrong.items()
    with pytest.raises(SystemExit) as stopped:
        main(["evaluate", "nowhere", "--suite", "mixed", f"--{name.replace('_', '-')}={value}"])
    assert stopped.value.code == 2 and str(value) in capsys.readouterr().err


def test_a_suite_that_is_named_twice_is_run_once() -> None:
    assert suite_names("accuracy, accuracy") == ["accuracy"]


def test_a_sample_is_drawn_once_and_in_order(scene: Scene) -> None:
    few = Scene(scene.answered, SuiteOptions(limit=7))
    assert scene.sample().tolist() == list(range(360))
    drawn = few.sample()
    assert drawn.tolist() == sorted(set(drawn.tolist())) and len(drawn) == 7
    assert torch.equal(drawn, few.sample())
    other = Scene(scene.answered, SuiteOptions(limit=7, suite_seed=1)).sample()
    assert drawn.tolist() != other.tolist()


def test_batches_and_logits_are_those_of_the_answers(scene: Scene) -> None:
    rows = torch.tensor([3, 359, 0])
    [(images, labels)] = scene.batches(rows)
    assert images.dtype == torch.uint8 and torch.equal(labels, scene.answered.labels[rows])
    torch.testing.assert_close(scene.logits(images), scene.answered.logits[rows])
