"""Training more of a network from a head that was found on its features (LP-FT)."""

from pathlib import Path
from typing import Any

import pytest
import torch
from halved import assert_goes_on_to_the_bit

from ssl_mix.recipes.build import build_run
from ssl_mix.runs.answered import evaluate
from ssl_mix.runs.net_options import NetOptions
from ssl_mix.runs.session import Session, reopen, start
from ssl_mix.runs.trained import load_trained

OPTIONS: dict[str, Any] = {"data": "digits", "labels_per_class": 3, "batch_size": 16, "threads": 1}
HEAD = {"net": "small-cnn", "pretrained": "none", "tune": "head", "head_start": "probe", "feature_views": 2}


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Session:
    run = build_run("fixmatch", {**OPTIONS, **HEAD, "mix": "dm-as", "lr": 0.001, "steps": 20}).run
    session = start(run, tmp_path_factory.mktemp("from-head") / "run")
    list(session.records())
    return session


def more(head: Session, **options: Any) -> Any:
    own: dict[str, Any] = {"net": str(head.folder), "steps": 4, "eval_every": 2, "checkpoint_every": 2}
    return build_run("fine-tuning", {**OPTIONS, **own, **options}).run


@pytest.mark.parametrize("word", ["all", "norms", "stages:1"])
def test_training_begins_at_the_head_and_goes_on_to_the_bit(word: str, head: Session, tmp_path: Path) -> None:
    run = more(head, tune=word, mix="as")
    whole = start(run, tmp_path / "whole")
    images = torch.rand(3, 1, 8, 8)
    found = load_trained(head.folder).net(images)
    assert torch.allclose(whole.trainer.teacher.net(images), found, atol=1e-5)
    list(whole.records())
    assert not torch.allclose(whole.trainer.student.eval()(images), found, atol=1e-3)

    assert_goes_on_to_the_bit(run, whole, tmp_path / "half")
    trained = load_trained(tmp_path / "whole")
    assert evaluate(trained).accuracy == pytest.approx(whole.trainer.evaluate()["test_accuracy"])


def test_a_run_that_began_at_a_head_is_begun_from_in_turn(head: Session, tmp_path: Path) -> None:
    second = start(more(head), tmp_path / "second")
    list(second.records())
    third = start(more(second, tune="head"), tmp_path / "third")
    list(third.records())
    assert evaluate(load_trained(tmp_path / "third")).accuracy > 0.3
    assert reopen(tmp_path / "third").finished


def test_other_classes_get_the_body_and_a_new_head(head: Session) -> None:
    net = NetOptions(net=str(head.folder)).build((1, 8, 8), 4, 0)
    body = load_trained(head.folder).net.body
    ours, theirs = net.state_dict(), body.state_dict()
    assert ours.keys() == theirs.keys() and ours["head.weight"].shape == (4, 64)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours if not name.startswith("head."))
