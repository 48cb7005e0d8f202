"""The last rung of ``auto``: the body trained from the chosen head, if there is time, kept if it gains."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import ssl_mix
from ssl_mix.algorithms import FineTuning
from ssl_mix.cli.auto import table
from ssl_mix.datasets import Split
from ssl_mix.models import build_model
from ssl_mix.recipes import body as body_module
from ssl_mix.recipes.auto import chosen_options
from ssl_mix.recipes.body import Body, body_run, climb_body, compared, plan, start_body
from ssl_mix.recipes.found import Found
from ssl_mix.recipes.ladder import PROBE, WHITENED, Climbed, folds, head_on, run_of
from ssl_mix.runs.answered import evaluate
from ssl_mix.runs.features import Features
from ssl_mix.runs.given import Given
from ssl_mix.runs.head import learned_features
from ssl_mix.runs.prepared import read_data
from ssl_mix.runs.session import reopen
from ssl_mix.runs.trained import load_trained
from ssl_mix.transfer.head_net import standardized
from ssl_mix.transfer.looks import averaged_features

OPTIONS: dict[str, Any] = {
    "data": "digits",
    "net": "small-cnn",
    "pretrained": "none",
    "feature_views": 2,
    "batch_size": 16,
    "steps": 12,
    "threads": 1,
    "labels_per_class": 3,
}
CHOSEN = chosen_options(OPTIONS)
FOREVER = 1e9


@pytest.fixture(scope="module")
def known() -> tuple[Features, Split, Sequence[Split]]:
    run = run_of(PROBE, CHOSEN).settled()
    data = read_data(run, Given())
    split = run.data.choose_split(data, 0)
    features = learned_features(run, data, split, None, None)
    return features, split, folds(split, data.train.labels, 0)


def climbed(known: Any, ends: float = FOREVER) -> tuple[Body | None, list[str]]:
    features, _, splits = known
    told: list[str] = []
    return climb_body(PROBE, CHOSEN, features, splits, time.perf_counter() + ends, told.append), told


def test_as_many_folds_as_fit_then_fewer_steps() -> None:
    assert plan(1.0, 5.0, 2000.0, 5, 200) == (5, 200, 6 * 205.0)
    assert plan(1.0, 5.0, 900.0, 5, 200) == (3, 200, 4 * 205.0)
    assert plan(1.0, 5.0, 615.0, 5, 200) == (2, 200, 615.0)
    assert plan(1.0, 5.0, 300.0, 5, 200) == (2, 95, 300.0)
    assert plan(1.0, 5.0, 100.0, 5, 200) == (2, 50, 165.0)  # what would be the least
    assert plan(1.0, 5.0, -3.0, 5, 20) == (2, 20, 75.0)


def test_without_time_the_body_is_left_and_the_reason_is_told(
    known: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert climbed(known, ends=-1.0) == (
        None,
        ["the body is left as it is: none of the `minutes` are left"],
    )
    monkeypatch.setattr(body_module, "costs", lambda *_: (10.0, 5.0))
    found, told = climbed(known, ends=200.0)
    assert found is None and told == [
        "the body is left as it is: a step of it takes 10 s, so that 12 steps on 2 folds and on all labels "
        "take 375 s, and 180 s are left of the `minutes`"
    ]
    assert "and 1 s is left of" in climbed(known, ends=1.5)[1][0]


def test_with_every_image_labeled_nothing_is_mixed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A held-out image is an unlabeled one while it is held out, and none is left in the end."""
    monkeypatch.setattr(body_module.Body, "kept", property(lambda _: True))
    labels = [0, 1, 2] * 3
    pixels = np.random.default_rng(0).integers(0, 255, (9, 8, 8), dtype=np.uint8)
    options = {name: OPTIONS[name] for name in ("feature_views", "batch_size", "steps", "threads")}
    trained = ssl_mix.auto(
        (pixels, labels), net=build_model("small-cnn", 3, channels=1), out=tmp_path, **options
    )
    kept = json.loads((tmp_path / "auto.json").read_text())
    assert [rung["name"] for rung in kept["ladder"]] == ["probe", "whitened"]
    assert kept["chosen"] == "body" and trained.step == 12


def test_the_gain_is_to_the_head_alone_on_the_same_labels(
    known: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([([1, 1, 0, 1], [0, 1, 0, 1]), ([1, 1, 1], [1, 0, 1]), ([0, 1, 0], [1, 1, 0])])
    monkeypatch.setattr(
        body_module, "compared", lambda *_: tuple(torch.tensor(part).float() for part in next(answers))
    )
    found, told = climbed(known)
    gains = np.array([1, 0, 0, 0, 0, 1, 0, -1, 0, 0])
    assert found.gain == pytest.approx(gains.mean()) and found.accuracy == pytest.approx(0.7)
    assert found.error == pytest.approx(gains.std(ddof=1) / np.sqrt(10))
    assert found.folds == 3 and not found.kept and "it is left as it is" in found.reason
    assert found._replace(error=0.04).kept and not found._replace(error=0.06).kept
    assert "12 steps on each of 3 folds" in told[0]


def test_training_begins_at_the_head(known: Any) -> None:
    features, _, splits = known
    run = body_run({**CHOSEN, "lr": 1e-12}, True, 1)
    ours, theirs = compared(run, run_of(WHITENED, CHOSEN), features, splits[0], lambda *_: None)
    assert torch.equal(ours, theirs) and len(ours) == 10 and theirs.mean() > 0.3


def test_the_body_learns_from_unlabeled_images_where_there_are_some() -> None:
    with_them, without = (body_run(CHOSEN, mixes, 5) for mixes in (True, False))
    for run, mix in ((with_them, "as"), (without, "none")):
        assert isinstance(run.algorithm, FineTuning) and run.algorithm.mixing.mix == mix
        assert run.net.tune == "all" and run.net.norms == "frozen" and run.config.lr == pytest.approx(1e-3)


def test_what_is_kept_is_an_ordinary_run(known: Any, tmp_path: Path) -> None:
    features, split, _ = known
    body = Body(body_run(CHOSEN, True, 12), PROBE, 0.9, 0.1, 0.01, 3, 1.0)
    session = start_body(body, CHOSEN, tmp_path / "run", Given(), features, split)
    again = reopen(tmp_path / "run")
    assert session.baseline == again.baseline == features.probe_scores(split)
    head = head_on(run_of(PROBE, CHOSEN), features, split).teacher.net
    images = torch.rand(4, 1, 8, 8)
    first = load_trained(tmp_path / "run").net  # what has been saved is the head on the body
    seen = averaged_features(features.body.eval(), images, features.looks)
    expected = head(standardized(seen, features.center))
    torch.testing.assert_close(first(images), expected)
    for opened in (session, again):
        list(opened.records())
    ours, theirs = (opened.trainer.teacher.net.state_dict() for opened in (session, again))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    trained = load_trained(tmp_path / "run")
    assert trained.step == 12 and not torch.equal(
        trained.net.body.blocks[0].weight, features.body.blocks[0].weight
    )


@pytest.mark.parametrize("handed_over", [False, True])
def test_auto_keeps_a_body_that_gains(
    handed_over: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body_module, "ERRORS", -1e6)
    net: Any = build_model("small-cnn", 10, channels=1) if handed_over else "small-cnn"
    options = {name: value for name, value in OPTIONS.items() if name not in ("net", "pretrained")}
    options |= {} if handed_over else {"pretrained": "none"}
    trained = ssl_mix.auto(net=net, out=tmp_path / "run", **options)
    kept = json.loads((tmp_path / "run/auto.json").read_text())
    assert kept["chosen"] == "body + AS" == kept["body"]["name"] and trained.run.net.tune == "all"
    assert kept["body"]["folds"] == 3 and "it is kept" in kept["body"]["reason"]
    again = ssl_mix.load(tmp_path / "run", net=net if handed_over else None)
    assert again.step == 12 and evaluate(again).plain() == evaluate(trained).plain()


def test_what_was_chosen_is_named() -> None:
    body = Body(body_run(CHOSEN, False, 5), PROBE, 0.9, 0.1, 0.01, 3, 1.0)
    assert Found(PROBE, (), "", body).name == "body" and Found(PROBE, (), "").name == "probe"
    assert Found(PROBE, (), "", body._replace(gain=0.0)).name == "probe"
    assert "gains 10.0 points over 3 folds with a standard error of 1.0: it is kept" in body.reason
    worse = body._replace(gain=-0.1).reason
    assert "loses 10.0 points over 3 folds" in worse and worse.endswith(": it is left as it is")


@pytest.mark.parametrize(("gain", "marks"), [(0.1, ["", ">"]), (0.0, [">", ""])])
def test_the_table_has_a_row_of_the_body(gain: float, marks: list[str]) -> None:
    body = Body(body_run(CHOSEN, True, 5), PROBE, 0.9, gain, 0.01, 3, 2.0)
    shown = table(Found(PROBE, (Climbed(PROBE, 0.8, 0.0, 0.0, 1.0),), "so it is", body))
    mark, name, accuracy, against, seconds = (list(column.cells) for column in shown.columns)
    assert mark == marks and name == ["probe", "body + AS, 3 folds"] and seconds == ["1.0", "2.0"]
    assert (
        accuracy == ["80.0 %", "90.0 %"]
        and against[1] == f"{100 * gain:+.1f} +- 1.0 to probe, there {90 - 100 * gain:.1f} %"
    )
