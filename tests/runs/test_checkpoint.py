"""Checkpoints: atomic, two kept, and refused with a reason when they are not whole."""

import errno
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from ssl_mix.errors import UserError
from ssl_mix.runs import checkpoint
from ssl_mix.runs.checkpoint import CURRENT, PREVIOUS, load_checkpoint, read_checkpoint, save_checkpoint


def state(step: int) -> dict[str, Any]:
    return {"step": step, "weights": torch.full((1000,), float(step))}


def load(folder: Path) -> tuple[int, list[str]]:
    found, refused = load_checkpoint(folder)
    assert found is not None
    assert torch.equal(found["weights"], state(found["step"])["weights"])
    return found["step"], refused


def test_the_newest_two_are_kept(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path) == (None, [])
    for step in (1, 2, 3):
        save_checkpoint(tmp_path, state(step))
    assert load(tmp_path) == (3, [])
    assert read_checkpoint(tmp_path / PREVIOUS)["step"] == 2
    assert sorted(os.listdir(tmp_path)) == sorted([CURRENT, PREVIOUS])


@pytest.mark.parametrize("keep", [0, 1, 100, 3000, -1])
def test_a_file_cut_short_is_refused_and_the_one_before_used(tmp_path: Path, keep: int) -> None:
    save_checkpoint(tmp_path, state(1))
    save_checkpoint(tmp_path, state(2))
    whole = (tmp_path / CURRENT).read_bytes()
    (tmp_path / CURRENT).write_bytes(whole[:keep])
    step, refused = load(tmp_path)
    assert step == 1
    assert len(refused) == 1 and "cut short" in refused[0] and CURRENT in refused[0]


def test_every_flipped_byte_of_the_weights_is_noticed(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, state(1))
    path = tmp_path / CURRENT
    content = bytearray(path.read_bytes())
    content[content.index(state(1)["weights"].numpy().tobytes()) + 17] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match="damaged"):
        read_checkpoint(path)


@pytest.mark.parametrize("content", ["torch list", "torch dict", "pickle", "text", "code"])
def test_a_foreign_file_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / CURRENT
    if content == "torch list":
        torch.save([1, 2], path)
    elif content == "torch dict":
        torch.save({"model": torch.zeros(2)}, path)
    elif content == "code":
        torch.save({"format": checkpoint.FORMAT, "x": os.system}, path)  # weights_only refuses it
    elif content == "pickle":
        path.write_bytes(pickle.dumps({"format": checkpoint.FORMAT}))
    else:
        path.write_text("hello")
    with pytest.raises(UserError, match="checkpoint"):
        load_checkpoint(tmp_path)


def test_nothing_usable_names_every_reason(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, state(1))
    save_checkpoint(tmp_path, state(2))
    for name in (CURRENT, PREVIOUS):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(UserError) as error:
        load_checkpoint(tmp_path)
    assert CURRENT in str(error.value) and PREVIOUS in str(error.value)


def fail_with_full_disk(*_: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("operation", ["fsync", "replace"])
def test_a_full_disk_keeps_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    save_checkpoint(tmp_path, state(1))
    monkeypatch.setattr(os, operation, fail_with_full_disk)
    with pytest.raises(UserError, match="No space left.*ssl-mix resume"):
        save_checkpoint(tmp_path, state(2))
    monkeypatch.undo()
    assert load(tmp_path) == (1, [])
    assert os.listdir(tmp_path) == [CURRENT]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_really_full_disk(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, state(1))
    (tmp_path / f".{CURRENT}.partial").symlink_to("/dev/full")
    with pytest.raises(UserError, match="cannot write a checkpoint"):
        save_checkpoint(tmp_path, state(2))
    assert load(tmp_path) == (1, [])


def test_the_order_of_operations_survives_a_crash_after_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stop dead after each file operation: a whole checkpoint is there every time."""

    class Crash(BaseException):
        pass

    for crash_after in range(6):
        folder = tmp_path / str(crash_after)
        folder.mkdir()
        save_checkpoint(folder, state(1))
        save_checkpoint(folder, state(2))
        done: list[Any] = []

        def counted(operation: Any, limit: int = crash_after, done: list[str] = done) -> Any:
            def call(*arguments: Any) -> Any:
                if len(done) == limit:
                    raise Crash
                done.append(operation.__name__)
                return operation(*arguments)

            return call

        with monkeypatch.context() as patch:
            for operation in ("fsync", "replace"):
                patch.setattr(os, operation, counted(getattr(os, operation)))
            try:
                save_checkpoint(folder, state(3))
            except Crash:
                assert len(done) == crash_after
            else:
                assert done == ["fsync", "replace", "replace", "fsync"]
        step, refused = load(folder)
        assert refused == []
        assert step == (3 if crash_after >= 3 else 2)
