"""Images that are read while training: a worker that is killed ends the run, named and saved."""

import multiprocessing
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from PIL import Image

from ssl_mix import TrainConfig
from ssl_mix.algorithms import FixMatch
from ssl_mix.cli.main import message_of
from ssl_mix.runs.data_options import DataOptions
from ssl_mix.runs.folder import Record
from ssl_mix.runs.run import Run
from ssl_mix.runs.session import Session, reopen, start


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    for name in ("cat", "dog"):
        (tmp_path / "train" / name).mkdir(parents=True)
        for number in range(4):
            Image.effect_noise((8, 8), 60).convert("RGB").save(tmp_path / "train" / name / f"{number}.png")
    monkeypatch.setattr("torch.utils.data._utils.MP_STATUS_CHECK_INTERVAL", 0.1)  # seconds until it is found
    data = DataOptions(
        train=str(tmp_path / "train"), labels_per_class=2, image_size=8, memory_gb=1e-9, workers=1
    )
    config = TrainConfig(steps=40, batch_size=2, log_every=10, eval_every=40, checkpoint_every=40, threads=1)
    return Run(FixMatch(unlabeled_ratio=1), data, config=config)


def until_killed(session: Session, step: int) -> Iterator[Record | None]:
    for record in session.steps():
        if session.trainer.step == step:
            for worker in multiprocessing.active_children():
                assert worker.pid is not None
                os.kill(worker.pid, signal.SIGKILL)
                worker.join()
        yield record


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows has no such signal")
def test_a_killed_worker_is_named_and_the_run_is_saved_and_goes_on_to_the_same_bits(
    run: Run, tmp_path: Path
) -> None:
    whole = start(run, tmp_path / "whole")
    list(whole.records())
    handler = signal.getsignal(signal.SIGCHLD)
    session = start(run, tmp_path / "killed")
    with pytest.raises(ChildProcessError, match="killed by SIGKILL.*ssl-mix resume") as caught:
        list(until_killed(session, 5))
    assert signal.getsignal(signal.SIGCHLD) is handler
    assert message_of(caught.value).startswith("worker process ") and "--workers" in message_of(caught.value)
    stopped = session.trainer.step
    assert 5 <= stopped < 40 and f"after step {stopped}" in str(caught.value)
    again = reopen(tmp_path / "killed")
    assert again.trainer.step == stopped
    list(again.records())
    for one, other in zip(
        whole.trainer.student.parameters(), again.trainer.student.parameters(), strict=True
    ):
        assert torch.equal(one, other)
