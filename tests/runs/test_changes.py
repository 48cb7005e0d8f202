"""What may change when a run goes on: where its data are, and its length."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ssl_mix import TrainConfig, UserError
from ssl_mix.algorithms import UDA, FixMatch, MeanTeacher, Supervised
from ssl_mix.cli.main import main
from ssl_mix.engine.optimizer import learning_rate
from ssl_mix.mixing.terms import MixingTerms
from ssl_mix.runs.answered import evaluate
from ssl_mix.runs.changes import Changes, extension_notes, moved
from ssl_mix.runs.checkpoint import read_checkpoint
from ssl_mix.runs.data_options import DataOptions
from ssl_mix.runs.folder import read_config, read_metrics
from ssl_mix.runs.session import reopen
from ssl_mix.runs.trained import load_trained

TRAIN = [
    "train",
    "fixmatch",
    "--image-size",
    "8",
    "--net",
    "small-cnn",
    "--batch-size",
    "4",
    "--threads",
    "1",
]
DIGITS = ["train", "supervised", "--data", "digits", "--labels", "20", "--batch-size", "4", "--threads", "1"]


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def birds(root: Path) -> Path:
    generator = np.random.default_rng(0)
    for part, count in (("labeled", 3), ("unlabeled", 6), ("test", 3), ("new", 4)):
        for label, name in enumerate(("dark", "light")):
            folder = root / part if part == "unlabeled" else root / part / name
            folder.mkdir(parents=True, exist_ok=True)
            for number in range(count):
                pixels = generator.integers(0, 90, (9, 9, 3)) + 150 * label
                Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{name}{number}.png")
    return root


def trained(*options: str, steps: int = 6) -> Path:
    birds(Path("birds"))
    parts = ["--labeled", "birds/labeled", "--unlabeled", "birds/unlabeled", "--test", "birds/test"]
    main([*TRAIN, *parts, "--steps", str(steps), *options, "--out", "run"])
    return Path("run")


def test_evaluate_needs_and_reads_no_image_that_was_learned_from(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    trained()
    Path("birds/new").rename("new")
    Path("birds/test").rename("test")
    shutil.rmtree("birds")
    for test in ("new", "test"):
        capsys.readouterr()
        main(["evaluate", "run", "--test", test, "--json"])
        assert json.loads(capsys.readouterr().out)["images"] == {"new": 8, "test": 6}[test]
    Path("table.csv").write_text("file,label\nnew/dark/dark0.png,dark\nnew/light/light1.png,light\n")
    main(["evaluate", "run", "--test", "table.csv", "--json"])
    assert json.loads(capsys.readouterr().out)["class_images"] == {"dark": 1, "light": 1}


def test_evaluate_tells_what_it_leaves_out_and_which_classes_are_missing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    trained()
    Path("table.csv").write_text("file,label\nbirds/new/dark/dark0.png,dark\nbirds/broken.png,dark\n")
    Path("birds/broken.png").write_text("no image")
    capsys.readouterr()
    main(["evaluate", "run", "--test", "table.csv", "--json", "--confusion", "matrix.csv"])
    output, notes = capsys.readouterr()
    found = json.loads(output)
    assert found["images"] == 1 and found["per_class"]["light"] is None
    assert "broken.png" in notes and "no image of 'light'" in notes
    rows = [line.split(",") for line in Path("matrix.csv").read_text().splitlines()]
    assert rows[0] == ["true class", "dark", "light"] and rows[2] == ["light", "0", "0"]
    assert sorted(rows[1]) == ["0", "1", "dark"]


def test_evaluate_tells_of_classes_that_the_run_does_not_know(capsys: pytest.CaptureFixture[str]) -> None:
    trained()
    Path("birds/new/dark").rename("birds/new/purple")
    main(["evaluate", "run", "--test", "birds/new"])
    assert "'purple'" in capsys.readouterr().err


def test_a_run_goes_on_where_its_data_are_now(capsys: pytest.CaptureFixture[str]) -> None:
    trained(steps=6)
    reopened_before = reopen(Path("run")).identity
    Path("elsewhere").mkdir()
    Path("birds").rename("elsewhere/gulls")
    with pytest.raises(SystemExit):
        main(["resume", "run"])
    assert "--data-root" in capsys.readouterr().err
    with pytest.raises(UserError, match="does not hold test and labeled.*has the name that it had"):
        reopen(Path("run"), changes=Changes(Path("run")))
    assert reopen(Path("run"), changes=Changes(Path("elsewhere/gulls"))).identity == reopened_before
    again = reopen(Path("run"))  # the folder knows it now
    names = json.loads(Path("run/files.json").read_text())
    assert again.notes == () and all("gulls" in name and Path(name).exists() for name in names)


def test_other_data_at_the_new_place_are_refused_and_the_folder_stays() -> None:
    trained()
    Path("birds").rename("gulls")
    Path("gulls/labeled/dark/dark1.png").unlink()
    before = Path("run/config.json").read_bytes()
    with pytest.raises(
        UserError, match=r"1 image that the run learned from \(.*gulls/labeled/dark/dark1.png\)"
    ):
        reopen(Path("run"), changes=Changes(Path("gulls")))
    assert Path("run/config.json").read_bytes() == before


def test_one_folder_of_a_pair_that_was_renamed_or_moved_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """Files are known by their names from the folder on that holds the pair: a link brings them back."""
    trained()

    def told(*words: str) -> str:
        capsys.readouterr()
        with pytest.raises(SystemExit, match="2"):
            main(["resume", "run", *words])
        return capsys.readouterr().err

    old = Path("birds/labeled").absolute()
    remedy = f"if renamed, give it its name again, or put a link in its place (ln -s NEW {old})"
    Path("birds/labeled").rename("birds/known")
    assert f"{old}, which the run learned from, cannot be found: if moved" in told() and remedy in told()
    for root in ("birds", "birds/known"):
        assert "does not hold labeled" in (said := told("--data-root", root)) and remedy in said
    said = told("--labeled", "birds/known", "--unlabeled", "birds/unlabeled")
    assert "has no option --labeled" in said and "a link in the place of one that was renamed" in said
    Path("elsewhere").mkdir()
    Path("birds/known").rename("elsewhere/labeled")
    assert "bring them together so, or links to them" in told("--data-root", "elsewhere")
    Path("elsewhere/unlabeled").symlink_to(Path("birds/unlabeled").absolute())
    reopen(Path("run"), changes=Changes(Path("elsewhere")))
    Path("birds/labeled").symlink_to(Path("elsewhere/labeled").absolute())
    assert reopen(Path("run"), changes=Changes(Path("birds"))).notes == ()


@pytest.mark.parametrize(
    ("options", "made", "root", "expected"),
    [
        ({"train": "/old/a/train"}, ["new/train"], "new", {"train": "new/train"}),
        ({"train": "/old/a/train"}, ["new/a/train", "new/train"], "new", {"train": "new/a/train"}),
        ({"train": "/old/a/train"}, ["new"], "new", {"train": "new"}),
        (
            {"labeled": "/old/a/x", "test": "/old/b/x"},
            ["new/a/x", "new/b/x", "new/x"],
            "new",
            {"labeled": "new/a/x", "test": "new/b/x"},
        ),
        ({"data": "cifar10", "data_dir": "/old/data"}, ["new"], "new", {"data_dir": "new"}),
        ({"labeled": "/old/x", "test": "{here}/kept"}, ["new/x", "kept"], "new", {"labeled": "new/x"}),
    ],
)
def test_paths_keep_what_is_behind_the_folders_that_changed(
    tmp_path: Path, options: dict[str, str], made: list[str], root: str, expected: dict[str, str]
) -> None:
    for folder in made:
        (tmp_path / folder).mkdir(parents=True)
    given: dict[str, Any] = {name: value.format(here=tmp_path) for name, value in options.items()}
    found = vars(moved(DataOptions(**given), tmp_path / root))
    assert {name: found[name] for name in expected} == {n: str(tmp_path / v) for n, v in expected.items()}
    assert {name: value for name, value in found.items() if name not in expected} == {
        name: value for name, value in vars(DataOptions(**given)).items() if name not in expected
    }


def test_a_finished_run_becomes_longer_and_resumes_as_such(capsys: pytest.CaptureFixture[str]) -> None:
    main([*DIGITS, "--steps", "10", "--out", "run"])
    short = TrainConfig(**read_config(Path("run"))["train"])
    capsys.readouterr()
    main(["resume", "run", "--steps", "20"])
    notes = re.sub(r"\s+", " ", capsys.readouterr().err)
    assert "made for 10 steps and goes on to 20" in notes and "--schedule cosine" in notes
    records = {record["step"]: record["lr"] for record in read_metrics(Path("run"))}
    long = TrainConfig(**{**vars(short), "steps": 20})
    assert records[10] == learning_rate(short, 9) and records[20] == learning_rate(long, 19)
    assert read_config(Path("run"))["train"]["steps"] == 20
    assert reopen(Path("run")).notes == () and load_trained(Path("run")).step == 20
    main(["evaluate", "run", "--json"])
    assert json.loads(capsys.readouterr().out)["step"] == 20
    with pytest.raises(UserError, match="must exceed its 20 steps, got 20"):
        reopen(Path("run"), changes=Changes(steps=20))


def test_a_longer_run_that_is_killed_before_it_saves_goes_on() -> None:
    main([*DIGITS, "--steps", "10", "--out", "run"])
    reopen(Path("run"), changes=Changes(steps=30))  # and killed
    again = reopen(Path("run"))
    assert again.trainer.step == 10 and again.trainer.config.steps == 30
    list(again.records())
    assert read_checkpoint(Path("run/checkpoint.pt"))["step"] == 30


@pytest.mark.parametrize(
    ("algorithm", "config", "named"),
    [
        (Supervised(), {"schedule": "constant", "eval_every": 5, "checkpoint_every": 5}, ["nothing does"]),
        (Supervised(), {"schedule": "step", "milestones": (5,), "eval_every": 5}, ["checkpoints"]),
        (Supervised(mixing="mixup", stop_mixing=0.2), {}, ["`schedule=cosine`", "`stop_mixing=0.2`"]),
        (MeanTeacher(), {"schedule": "constant"}, ["`ramp=0.4`", "evaluations and checkpoints"]),
        (UDA(tsa="linear"), {}, ["`tsa=linear`"]),
        (FixMatch(mixing=MixingTerms(mix="dm-as")), {}, ["`mix_ramp=cosine`"]),
        (
            FixMatch(mixing="dm"),
            {"schedule": "constant", "eval_every": 1, "checkpoint_every": 1},
            ["nothing"],
        ),
    ],
)
def test_what_depends_on_the_length_is_named(
    algorithm: Any, config: dict[str, Any], named: list[str]
) -> None:
    before = TrainConfig(steps=10, **config)
    [note] = extension_notes(algorithm, before, TrainConfig(steps=20, **config), 10)
    assert all(name in note for name in named)
    assert ("schedule" in note) == (config.get("schedule", "cosine") == "cosine")
    assert extension_notes(algorithm, before, before, 10) == []


def test_evaluation_counts_are_those_of_the_images() -> None:
    found = evaluate(load_trained(trained()), test="birds/new")
    assert found.class_images == {"dark": 4, "light": 4} and found.confusion.sum() == 8
    assert found.accuracy == found.confusion.diagonal().sum() / 8
