"""Runs and their folders: exact resume after a kill, clean stops, refusals."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from sessions import train

from ssl_mix import Batch, MixingTerms, Nets, Step, StepOutput, TrainConfig, UserError
from ssl_mix.algorithms import FixMatch, Supervised
from ssl_mix.cli.train import read_run
from ssl_mix.runs.checkpoint import CURRENT, read_checkpoint
from ssl_mix.runs.data_options import DataOptions
from ssl_mix.runs.folder import read_metrics
from ssl_mix.runs.run import Run
from ssl_mix.runs.session import reopen, start

OPTIONS = ["--data", "digits", "--labels", "20", "--batch-size", "8", "--log-every", "7", "--threads", "1"]
DM_AS = ["--mix", "dm-as", "--threshold", "0.5"]


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "ssl_mix", *arguments]


def quick(mixing: MixingTerms = MixingTerms(), **config: Any) -> Run:  # noqa: B008 (frozen)
    options = {"steps": 12, "batch_size": 8, "log_every": 5, "eval_every": 6, "checkpoint_every": 4, **config}
    return Run(
        FixMatch(threshold=0.5, mixing=mixing),
        DataOptions(data="digits", labels=20),
        config=TrainConfig(**options),
    )


def comparable(records: list[dict[str, float]]) -> list[dict[str, float]]:
    """Records without what a clock measures."""
    timed = ("second", "data_wait")
    return [{k: v for k, v in r.items() if not any(word in k for word in timed)} for r in records]


def assert_same_run(first: Path, second: Path) -> None:
    """Both folders hold the same bits: weights, teacher, optimizer, bank, metrics, guesses."""
    a, b = read_checkpoint(first / CURRENT), read_checkpoint(second / CURRENT)
    assert a["step"] == b["step"]
    for part in ("student", "teacher", "start", "bank", "algorithm"):
        assert a[part].keys() == b[part].keys()
        assert all(torch.equal(a[part][name], b[part][name]) for name in a[part]), part
    for slot, values in a["optimizer"]["state"].items():
        assert torch.equal(values["momentum_buffer"], b["optimizer"]["state"][slot]["momentum_buffer"])
    assert comparable(read_metrics(first)) == comparable(read_metrics(second))
    assert (first / "pseudo_labels.csv").read_text() == (second / "pseudo_labels.csv").read_text()


def test_a_run_folder_is_complete(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    assert train(start(quick(), folder))
    names = {
        "config.json",
        "split.json",
        "labels.json",
        "metrics.jsonl",
        "tensorboard",
        "checkpoint.pt",
        "checkpoint.previous.pt",
    }
    assert {path.name for path in folder.iterdir()} == names | {"pseudo_labels.csv", "report.html"}
    config = json.loads((folder / "config.json").read_text())
    assert config["algorithm"]["threshold"] == 0.5 and config["versions"]["torch"] == torch.__version__
    assert len(json.loads((folder / "split.json").read_text())["labeled"]) == 20
    assert any("tfevents" in path.name for path in (folder / "tensorboard").iterdir())
    assert [record["step"] for record in read_metrics(folder)] == [5, 6, 10, 12]
    report = (folder / "report.html").read_text()
    for told in ("of 360 test images are recognized", "test accuracy, last", "--threshold"):
        assert told in report
    rows = list(csv.DictReader((folder / "pseudo_labels.csv").read_text().splitlines()))
    bank = read_checkpoint(folder / CURRENT)["bank"]
    assert len(rows) == (bank["label"] >= 0).sum() > 0
    assert [int(row["changes"]) for row in rows] == bank["changes"][bank["label"] >= 0].tolist()


@pytest.mark.parametrize(("stops", "share"), [([1], 0.5), ([4], 0.0), ([5, 6, 11], 0.5)])
def test_stopped_and_resumed_is_the_same_run(tmp_path: Path, stops: list[int], share: float) -> None:
    run = quick(MixingTerms(mix="dm-as"), start_share=share)
    whole, pieces = tmp_path / "whole", tmp_path / "pieces"
    train(start(run, whole))
    opened = start(quick(MixingTerms(mix="dm-as"), start_share=share), pieces)
    for stop in stops:
        stop_after(opened.trainer, stop)
        assert not train(opened)
        assert read_checkpoint(pieces / CURRENT)["step"] == stop
        opened = reopen(pieces)
        assert opened.trainer.step == stop and opened.notes == ()
    assert train(opened)
    assert_same_run(whole, pieces)


def stop_after(trainer: Any, stop: int) -> None:
    """As Ctrl-C does during step ``stop``."""
    original = trainer.train_step

    def train_step(raw: Any) -> None:
        original(raw)
        trainer.stop = trainer.step >= stop

    trainer.train_step = train_step


def wait_for(condition: Any, process: subprocess.Popen[bytes], seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.002)


def last_step(folder: Path) -> float:
    records = read_metrics(folder) if (folder / "metrics.jsonl").exists() else []
    return records[-1]["step"] if records else 0


def finished(options: list[str], folder: Path) -> Path:
    """Train without a stop, in this process."""
    assert train(start(read_run([*options, "--out", str(folder)]), folder))
    return folder


@pytest.mark.slow
def test_killed_and_resumed_is_the_same_run(tmp_path: Path) -> None:
    killed = tmp_path / "killed"
    options = ["fixmatch", *OPTIONS, *DM_AS, "--steps", "60", "--checkpoint-every", "10"]
    process = subprocess.Popen(command("train", *options, "--out", str(killed)), stdout=subprocess.DEVNULL)
    wait_for(lambda: last_step(killed) >= 35, process)
    process.kill()
    process.wait()
    reached = last_step(killed)
    opened = reopen(killed)
    assert opened.trainer.step >= reached - 10
    assert train(opened)
    assert_same_run(finished(options, tmp_path / "whole"), killed)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT to send")
def test_ctrl_c_stops_cleanly_and_can_be_resumed(tmp_path: Path) -> None:
    stopped = tmp_path / "stopped"
    options = ["fixmatch", *OPTIONS, "--steps", "80", "--checkpoint-every", "80"]
    process = subprocess.Popen(command("train", *options, "--out", str(stopped)), stdout=subprocess.PIPE)
    wait_for(lambda: last_step(stopped) >= 14, process)
    process.send_signal(signal.SIGINT)
    output = process.communicate(timeout=300)[0].decode()
    assert process.returncode == 130 and "ssl-mix resume" in output
    assert 14 <= read_checkpoint(stopped / CURRENT)["step"] < 80
    assert train(reopen(stopped))
    assert_same_run(finished(options, tmp_path / "whole"), stopped)


def test_an_output_folder_with_a_run_is_refused_and_overwrite_replaces_it(tmp_path: Path) -> None:
    start(quick(), tmp_path / "run")
    with pytest.raises(UserError, match="already holds a run.*resume.*`overwrite`"):
        start(quick(), tmp_path / "run")
    start(quick(steps=13), tmp_path / "run", overwrite=True)
    assert json.loads((tmp_path / "run/config.json").read_text())["train"]["steps"] == 13


def test_a_folder_within_a_run_is_refused(tmp_path: Path) -> None:
    start(quick(), tmp_path / "run")
    (tmp_path / "link").symlink_to("run")
    for place in ("run/again", "run/deep/er", "link/again"):
        with pytest.raises(UserError, match="lies within the run .*/run: choose another `out`"):
            start(quick(), tmp_path / place)
    assert not (tmp_path / "run/again").exists()


@pytest.mark.parametrize(
    ("name", "content"), [("letter.txt", ""), ("config.json", "{}"), ("config.json", '{"format": "pt"}')]
)
def test_a_folder_with_other_files_is_never_deleted(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match="holds no run"):
        start(quick(), tmp_path, overwrite=True)
    assert (tmp_path / name).read_text() == content


def test_stopping_a_diverged_run_does_not_replace_its_last_good_checkpoint(tmp_path: Path) -> None:
    opened = start(
        quick(lr=1e15, schedule="constant", log_every=100, eval_every=12, checkpoint_every=12),
        tmp_path / "run",
    )
    stop_after(opened.trainer, 6)
    with pytest.raises(UserError, match="NaN or infinite"):
        train(opened)
    assert not (tmp_path / "run" / CURRENT).exists()


def test_a_stopped_trainer_goes_on_when_asked_again() -> None:
    run = quick()
    data = run.data.load()
    trainer = run.trainer(data, run.data.choose_split(data, 0))
    trainer.stop = True
    list(trainer.fit())
    assert trainer.step == 1
    list(trainer.fit())
    assert trainer.step == 12


def test_bad_input_leaves_no_folder_behind(tmp_path: Path) -> None:
    run = Run(FixMatch(), DataOptions(data="digits", labels=13))
    with pytest.raises(UserError, match="13"):
        start(run, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [("train", "lr", 0.5), ("algorithm", "threshold", 0.9), ("net", "net", "wrn-28-1")],
)
def test_resume_refuses_changed_settings_and_names_them(
    tmp_path: Path, part: str, name: str, value: Any
) -> None:
    train(start(quick(), tmp_path / "run"))
    path = tmp_path / "run/config.json"
    config = json.loads(path.read_text())
    config[part][name] = value
    path.write_text(json.dumps(config))
    with pytest.raises(UserError, match=rf"{part}\.{name}.*{value}"):
        reopen(tmp_path / "run")


def test_resume_refuses_another_split(tmp_path: Path) -> None:
    train(start(quick(), tmp_path / "run"))
    path = tmp_path / "run/split.json"
    path.write_text(path.read_text().replace('"labeled": [', '"labeled": [0, ', 1))
    with pytest.raises(UserError, match="SHA-256"):
        reopen(tmp_path / "run")


def test_resume_uses_the_checkpoint_before_a_damaged_one(tmp_path: Path) -> None:
    whole, damaged = tmp_path / "whole", tmp_path / "damaged"
    train(start(quick(), whole))
    shutil.copytree(whole, damaged)
    content = (damaged / CURRENT).read_bytes()
    (damaged / CURRENT).write_bytes(content[: len(content) // 2])
    opened = reopen(damaged)
    assert opened.trainer.step == 8
    assert len(opened.notes) == 1 and "cut short" in opened.notes[0]
    train(opened)
    assert_same_run(whole, damaged)


def test_resume_without_a_run_says_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no run"):
        reopen(tmp_path)


class Breaks(FixMatch):
    """FixMatch whose unlabeled term is infinite in step 6 alone."""

    def forward(self, nets: Nets, batch: Batch, step: Step) -> StepOutput:
        output = super().forward(nets, batch, step)
        if step.number != 6:
            return output
        return output._replace(metrics={**output.metrics, "loss/unlabeled": torch.tensor(torch.inf)})


def test_an_infinite_loss_term_stops_the_run_and_keeps_the_last_good_checkpoint(tmp_path: Path) -> None:
    opened = start(quick(eval_every=12), tmp_path / "run")
    opened.trainer.algorithm = Breaks(threshold=0.5)
    with pytest.raises(UserError, match=r"^loss/unlabeled became NaN or infinite in step 6;"):
        train(opened)
    assert read_checkpoint(tmp_path / "run" / CURRENT)["step"] == 4
    assert [record["step"] for record in read_metrics(tmp_path / "run")] == [5]


def test_weights_that_are_not_finite_are_never_saved(tmp_path: Path) -> None:
    opened = start(quick(lr=1e15, schedule="constant", log_every=100, checkpoint_every=1), tmp_path / "run")
    with pytest.raises(UserError, match="NaN or infinite in step [0-9]"):
        train(opened)
    state = read_checkpoint(tmp_path / "run" / CURRENT)
    assert all(weights.isfinite().all() for weights in state["student"].values())


def test_threads_are_fixed_when_a_run_starts(tmp_path: Path) -> None:
    start(quick(), tmp_path / "run")
    assert (
        json.loads((tmp_path / "run/config.json").read_text())["train"]["threads"] == torch.get_num_threads()
    )


def test_a_batch_larger_than_the_labeled_set_works_and_is_stated(tmp_path: Path) -> None:
    opened = start(quick(batch_size=32), tmp_path / "run")
    assert opened.notes == (
        "the batch (32) is larger than the labeled set (20): labeled images repeat within a batch",
    )
    assert train(opened)
    assert start(quick(batch_size=20), tmp_path / "other").notes == ()


def test_supervised_needs_no_unlabeled_pictures(tmp_path: Path) -> None:
    run = Run(Supervised(), DataOptions(data="digits"), config=TrainConfig(steps=3, batch_size=8))
    assert train(start(run, tmp_path / "run"))
    assert not (tmp_path / "run/pseudo_labels.csv").exists()


def test_fixmatch_without_unlabeled_pictures_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="choose fewer labels"):
        start(Run(FixMatch(), DataOptions(data="digits")), tmp_path / "run")


def test_validation_pictures_are_held_out(tmp_path: Path) -> None:
    run = quick()
    run = Run(run.algorithm, DataOptions(data="digits", labels=40, validation=0.5), config=run.config)
    opened = start(run, tmp_path / "run")
    assert len(opened.trainer.split.labeled) == len(opened.trainer.split.validation) == 20
    train(opened)
    evaluated = [record for record in read_metrics(tmp_path / "run") if "validation_accuracy" in record]
    assert [record["step"] for record in evaluated] == [6, 12]
    assert "where validation was best" in (tmp_path / "run/report.html").read_text()
