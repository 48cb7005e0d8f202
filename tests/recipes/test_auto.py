"""``auto``: a ladder of ways to learn, and the best of them as an ordinary run."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import ssl_mix
from ssl_mix.cli.auto import split_minutes
from ssl_mix.cli.main import main
from ssl_mix.datasets import Split, choose_split
from ssl_mix.errors import UserError
from ssl_mix.recipes.auto import prepare
from ssl_mix.recipes.fit import handed_over
from ssl_mix.recipes.found import reason
from ssl_mix.recipes.ladder import PROBE, RUNGS, WHITENED, Climbed, Rung, choose, doubt, folds
from ssl_mix.runs.answered import evaluate
from ssl_mix.runs.folder import read_metrics
from ssl_mix.transfer.looks import Look

WORDS = "--data digits --net small-cnn --pretrained none --feature-views 2 --batch-size 16 --steps 20"
OPTIONS: dict[str, Any] = {
    "data": "digits",
    "pretrained": "none",
    "feature_views": 2,
    "batch_size": 16,
    "steps": 20,
    "threads": 1,
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("auto") / "run"
    ladder: list[Climbed] = []
    trained = ssl_mix.auto(net="small-cnn", labels_per_class=3, out=folder, on_rung=ladder.append, **OPTIONS)
    return trained, ladder


def test_the_ladder_begins_with_the_probe_and_ends_in_an_ordinary_run(made: Any) -> None:
    trained, ladder = made
    assert [climbed.rung for climbed in ladder] == list(RUNGS)
    assert ladder[0].gain == ladder[0].error == 0
    assert all(0.1 < climbed.accuracy <= 1 and climbed.seconds > 0 for climbed in ladder)
    found = evaluate(trained)
    assert found.probe_accuracy is not None and found.accuracy > found.probe_accuracy - 0.05
    assert ssl_mix.load(trained.folder).step == trained.run.config.steps
    [record] = read_metrics(trained.folder)
    assert record["seconds"] > sum(climbed.seconds for climbed in ladder)


def test_evaluate_prints_one_object(made: Any, capsys: pytest.CaptureFixture[str]) -> None:
    trained, _ = made
    main(["evaluate", str(trained.folder), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert 0.1 < found["accuracy"] <= 1 and 0.1 < found["probe_accuracy"] <= 1
    kept = json.loads((trained.folder / "auto.json").read_text())
    assert [rung["name"] for rung in kept["ladder"]] == [rung.name for rung in RUNGS]


def test_one_label_a_class_is_cross_validated_by_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["auto", *WORDS.split(), "--labels-per-class", "1", "--out", str(tmp_path / "run")])
    assert "classes of one label leave too little to cross-validate with" in capsys.readouterr().out
    assert json.loads((tmp_path / "run/auto.json").read_text())["chosen"] == "whitened"


def test_what_cannot_be_read_is_told_before_anything_is_tried(tmp_path: Path) -> None:
    for number, name in enumerate(("a/1", "a/2", "b/1", "b/2")):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.effect_noise((8 + number, 8), 60).convert("RGB").save(tmp_path / "in" / f"{name}.png")
    (tmp_path / "in/a/broken.png").write_bytes(b"no picture")
    told: list[Any] = []
    options = {"net": "small-cnn", "pretrained": "none", "labeled": str(tmp_path / "in"), "image_size": 8}
    options |= {"feature_views": 2, "steps": 2, "threads": 1}
    session, _ = prepare(tmp_path / "run", options, on_rung=told.append, tell=told.append)
    (broken,) = [note for note in told if "broken.png" in str(note)]
    assert told.index(broken) < min(place for place, said in enumerate(told) if isinstance(said, Climbed))
    assert not any("broken.png" in note for note in session.notes)


def test_every_label_is_held_out_once() -> None:
    labels = torch.arange(40) % 4
    split = choose_split(labels, 4, per_class=3, seed=0, classes=list("abcd"))
    found = folds(split, labels, 0)
    assert len(found) == 3
    assert sorted(position for fold in found for position in fold.validation) == list(split.labeled)
    for fold in found:
        assert not {*fold.labeled} & {*fold.validation} and {*fold.validation} <= {*fold.unlabeled}
        assert torch.equal(labels[torch.tensor(fold.labeled)].bincount(), torch.full((4,), 2))


@pytest.mark.parametrize(
    ("gain", "error", "taken"),
    [(0.02, 0.01, WHITENED), (-0.05, 0.03, WHITENED), (-0.07, 0.03, PROBE), (0.0, 0.0, WHITENED)],
)
def test_the_probe_has_to_be_proven_better(gain: float, error: float, taken: Rung) -> None:
    ladder = [Climbed(PROBE, 0.80, 0.0, 0.0, 1.0), Climbed(WHITENED, 0.80 + gain, gain, error, 1.0)]
    assert choose(ladder).rung == taken
    told = reason(ladder, 3)
    assert f"and {taken.name} it is" in told
    assert f"standard errors of their difference ({200 * error:.1f} points)" in told
    assert f"whitened predicts {80 + 100 * gain:.1f} %, the probe 80.0 %" in told


def test_the_one_label_of_a_class_is_kept_while_those_of_others_are_held_out() -> None:
    labels = torch.tensor([0, 0, 0, 1, 1, 1, 2])
    split = Split(tuple(range(7)), (), (), 0, "")
    found = folds(split, labels, 0)
    assert len(found) == 3 and all(6 in fold.labeled for fold in found)
    assert sorted(position for fold in found for position in fold.validation) == list(range(6))
    assert folds(Split((0, 1, 3, 6), (), (), 0, ""), labels, 0) == ()  # most classes have one


def test_labels_that_are_predicted_no_better_than_by_guesses_are_doubted() -> None:
    held_out = torch.arange(24) % 6  # guesses 16.7 %, with a standard error of 7.6 points
    for accuracy, doubted in ((0.04, True), (0.30, True), (0.34, False)):
        said = doubt(Climbed(WHITENED, accuracy, 0.0, 0.0, 1.0), held_out)
        assert (said is not None) == doubted
        assert said is None or f"whitened predicts {accuracy:.1%} of 24 held-out labels" in said
    assert doubt(Climbed(PROBE, 1.0, 0.0, 0.0, 1.0), torch.tensor([0, 0, 1, 1])) is None


def test_noise_is_doubted_before_the_body_is_tried(tmp_path: Path) -> None:
    draws = np.random.default_rng(0)
    pixels, labels = draws.integers(0, 255, (12, 8, 8), dtype=np.uint8), [0, 1, 2] * 4
    told: list[str] = []
    options = {name: OPTIONS[name] for name in ("feature_views", "batch_size", "threads")}
    chosen, given = handed_over((pixels, labels), None, None, None, options, ("fine-tuning", "small"))
    chosen |= {"net": "small-cnn", "pretrained": "none", "image_size": 8}
    prepare(tmp_path / "run", chosen, given=given, minutes=1e-6, tell=told.append)
    assert "of 12 held-out labels, and guesses 33.3%" in told[-2]
    assert told[-1].startswith("the body is left")
    assert json.loads((tmp_path / "run/auto.json").read_text())["doubt"] == told[-2]


def test_plain_views_alone_are_computed_and_from_two_looks(made: Any, tmp_path: Path) -> None:
    options = {name: value for name, value in OPTIONS.items() if name != "feature_views"}
    session, _ = prepare(tmp_path / "run", {"net": "small-cnn", "labels_per_class": 2, **options})
    views: Any = session.trainer.data.augmentation
    assert views.count == 0 and made[0].run.net.feature_views == 2
    assert made[0].net.looks == (Look(), Look(1.25))  # digits mean something else in a mirror


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold": 0.9}, "auto chooses the algorithm and its options by itself: leave out `threshold`"),
        ({"tune": "all"}, "leave out `tune`"),
        ({"minutes": 0}, "minutes must be"),
    ],
)
def test_what_means_nothing_is_refused(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        ssl_mix.auto(**{"net": "small-cnn", "out": tmp_path, **OPTIONS, **options})


def test_minutes_are_told_apart() -> None:
    assert split_minutes(["--minutes", "3", "--seed", "1"]) == (["--seed", "1"], 3.0)
    assert split_minutes(["--seed", "1", "--minutes=2.5"]) == (["--seed", "1"], 2.5)
    with pytest.raises(UserError, match="`minutes` must be a number, got 'soon'"):
        split_minutes(["--minutes", "soon"])
