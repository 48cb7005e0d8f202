"""Commands under torchrun: which may be shared, what is said of mistakes, what goes on with what."""

import json
import os
import sys
from pathlib import Path

import pytest
import torch

from ssl_mix.cli.main import main
from ssl_mix.cli.processes import began_before, own_gpu, told_to_torchrun
from ssl_mix.engine.config import TrainConfig
from ssl_mix.engine.distributed import check_processes
from ssl_mix.errors import UserError
from ssl_mix.ranks import count
from ssl_mix.runs.folder import read_metrics

TRAIN = ["train", "supervised", "--data", "digits", "--labels-per-class", "1", "--net", "small-cnn"]
TRAIN += ["--batch-size", "2", "--steps", "2", "--eval-every", "1", "--checkpoint-every", "1"]


@pytest.fixture
def torchrun(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The variables of torchrun with one process."""
    for name, value in {"TORCHELASTIC_RUN_ID": "none", "WORLD_SIZE": "1", "RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


@pytest.mark.parametrize("words", [["demo"], ["evaluate", "R"], []])
def test_other_commands_are_for_one_process(
    words: list[str], torchrun: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    torchrun.setenv("WORLD_SIZE", "2")
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 2
    assert (
        "2 processes can share train and resume: start any other command without" in capsys.readouterr().err
    )


def test_each_process_needs_a_gpu_where_there_are_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert own_gpu(2) == 1
    with pytest.raises(UserError, match="PyTorch sees 1 GPU, and torchrun starts more processes"):
        own_gpu(1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"batch_size": 6}, "4 processes share the 6 labeled images of a pass equally.*that 4 divides"),
        ({"batch_size": 12, "accumulate": 2}, "share the 6 labeled images.*that 8 divides"),
        ({"batch_size": 4, "compile": True}, "`compile` is for one process, and 4 share"),
    ],
)
def test_a_batch_that_cannot_be_shared_is_refused(
    options: dict[str, int], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_processes(TrainConfig(**options))
    monkeypatch.setattr("ssl_mix.ranks.count", lambda: 4)
    with pytest.raises(UserError, match=words):
        check_processes(TrainConfig(**options))


def test_the_same_command_under_torchrun_goes_on(
    tmp_path: Path, torchrun: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    command = [*TRAIN, "--out", str(folder)]
    torchrun.setattr(sys, "argv", ["ssl-mix", *command])
    main(command)
    records = read_metrics(folder)
    (folder / "checkpoint.pt").unlink()
    (folder / "checkpoint.previous.pt").rename(folder / "checkpoint.pt")  # as after a kill in step 2
    capsys.readouterr()
    main(command)
    assert "step 1 of 2" in capsys.readouterr().out
    assert [record["loss"] for record in read_metrics(folder)] == [record["loss"] for record in records]
    torchrun.delenv("TORCHELASTIC_RUN_ID")
    with pytest.raises(SystemExit):
        main(command)
    assert "already holds a run" in capsys.readouterr().err


def test_another_command_does_not_go_on(tmp_path: Path, torchrun: pytest.MonkeyPatch) -> None:
    torchrun.setattr(sys, "argv", ["ssl-mix", "train", "fixmatch"])
    torchrun.delenv("TORCHELASTIC_RESTART_COUNT", raising=False)
    assert not began_before(tmp_path)
    content: dict[str, object] = {
        name: {} for name in ("algorithm", "data", "net", "train", "dataset", "versions", "given")
    }
    for command, same in ((["x", "train", "fixmatch"], True), (["x", "train", "uda"], False), (None, False)):
        (tmp_path / "config.json").write_text(json.dumps(content | {"command": command}))
        assert began_before(tmp_path) is same
        assert not began_before(tmp_path, overwrite=True)  # a new job
        with torchrun.context() as restarted:
            restarted.setenv("TORCHELASTIC_RESTART_COUNT", "1")
            assert began_before(tmp_path, overwrite=True) is same


def test_torchrun_is_told_why_a_process_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "error.json"
    monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", str(file))
    with pytest.raises(UserError, match="no images"), told_to_torchrun():
        raise UserError("no images")
    assert "no images" in file.read_text()
    os.remove(file)
    with pytest.raises(UserError, match="another process is gone"), told_to_torchrun():
        raise torch.distributed.DistNetworkError("Connection reset by peer")
    assert "Connection reset by peer" in file.read_text()


def test_without_torchrun_there_is_one_process() -> None:
    assert count() == 1
