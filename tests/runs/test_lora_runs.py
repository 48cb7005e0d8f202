"""Runs that train adapters: as exact as others, and used without peft."""

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from algorithm_tables import FROM_RUNS
from halved import assert_goes_on_to_the_bit

from ssl_mix.algorithms import ALGORITHMS
from ssl_mix.cli.main import main
from ssl_mix.errors import UserError
from ssl_mix.recipes.build import build_run
from ssl_mix.runs.answered import evaluate
from ssl_mix.runs.net_options import NetOptions
from ssl_mix.runs.prepared import prepare
from ssl_mix.runs.session import Session, reopen, start
from ssl_mix.runs.trained import load_trained

needs_peft = pytest.mark.skipif(
    importlib.util.find_spec("peft") is None, reason="needs peft: pip install 'ssl-mix[lora]'"
)
OPTIONS: dict[str, Any] = {
    "data": "digits",
    "net": "small-cnn",
    "pretrained": "none",
    "tune": "lora",
    "labels_per_class": 4,
    "batch_size": 8,
    "lr": 0.01,
    "steps": 4,
    "eval_every": 2,
    "checkpoint_every": 2,
    "threads": 1,
}


def run_of(algorithm: str, **options: Any) -> Any:
    return build_run(algorithm, {**OPTIONS, **options}).run


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Session:
    session = start(run_of("self-tuning", mix="dm-as"), tmp_path_factory.mktemp("lora") / "run")
    list(session.records())
    return session


@needs_peft
@pytest.mark.parametrize("algorithm", ["fixmatch", "self-tuning", "l2-sp", "delta", "vat"])
def test_only_adapters_and_new_layers_learn_and_a_run_goes_on_to_the_bit(
    algorithm: str, tmp_path: Path
) -> None:
    run = run_of(algorithm)
    whole = start(run, tmp_path / "whole")
    before = {n: v.clone() for n, v in whole.trainer.student.named_parameters()}
    list(whole.records())
    body = {n for n in before if n.startswith("blocks.") and ".lora_" not in n}
    after = dict(whole.trainer.student.named_parameters())
    assert {n for n in before if torch.equal(before[n], after[n])} == body != set()
    teacher = whole.trainer.teacher.net.state_dict()
    assert all(torch.equal(teacher[n], before[n]) for n in body)
    assert all(teacher[n].any() for n in teacher if ".lora_B" in n)

    assert_goes_on_to_the_bit(run, whole, tmp_path / "half")


@needs_peft
def test_a_run_is_used_and_begun_from_without_peft(
    done: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    trained = load_trained(done.folder)
    assert not any("lora" in name for name, _ in trained.net.named_parameters())
    images = torch.rand(4, 1, 8, 8)
    torch.testing.assert_close(trained.net(images), done.trainer.teacher.net(images), rtol=1e-4, atol=1e-5)
    assert evaluate(trained).accuracy == pytest.approx(done.trainer.evaluate()["test_accuracy"], abs=0.003)
    net = NetOptions(net=str(done.folder)).build((1, 8, 8), 10, 0).eval()
    torch.testing.assert_close(net(images), trained.net(images), rtol=1e-4, atol=1e-5)
    with pytest.raises(UserError, match="needs the package peft"):
        reopen(done.folder)


@needs_peft
def test_check_and_train_tell_how_many_weights_are_trained(capsys: pytest.CaptureFixture[str]) -> None:
    words = [f"--{name.replace('_', '-')}={value}" for name, value in OPTIONS.items()]
    main(["check", "supervised", *words])
    assert "64,818, 8,914 of them trained" in capsys.readouterr().out
    notes = prepare(run_of("supervised")).notes
    assert "8,914 of 64,818 weights are trained (`tune=lora`)" in notes


def test_without_peft_nothing_is_read_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(UserError, match=r"pip install 'ssl-mix\[lora\]'"):
        prepare(run_of("supervised", data="cifar10", data_dir="/nowhere"))


@needs_peft
@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS.keys() - {"co-tuning", *FROM_RUNS}))
def test_every_algorithm_takes_a_step(algorithm: str) -> None:
    trainer = prepare(run_of(algorithm, steps=1, norms="training")).trainer
    [record] = list(trainer.fit())
    assert record["loss"] > 0
