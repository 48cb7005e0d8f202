"""Checkpoints that survive a crash at any moment and are never half read."""

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ssl_mix.errors import UserError
from ssl_mix.runs.reading import AGAIN, load_whole
from ssl_mix.shell import quoted

FORMAT = "ssl-mix checkpoint 1"
CURRENT, PREVIOUS = "checkpoint.pt", "checkpoint.previous.pt"
OF_A_RUN: dict[str, type] = {
    **dict.fromkeys(("student", "teacher", "start", "optimizer", "algorithm", "bank", "meter"), dict),
    "identity": str,
    "step": int,
    "seconds": float,
    "best": object,
}


def save_checkpoint(folder: Path, state: dict[str, Any]) -> None:
    """Write ``checkpoint.pt`` into ``folder``; the one before becomes ``checkpoint.previous.pt``.

    The state goes to a temporary file that is flushed to the disk before it is renamed, and then the folder
    is flushed: whenever the machine stops, a whole checkpoint is there.

    Raises:
        ValueError: the file cannot be written, a full disk for instance. What was there before stays.
    """
    temporary = folder / f".{CURRENT}.partial"
    try:
        with open(temporary, "wb") as file:
            torch.save({"format": FORMAT, **state}, file)
            file.flush()
            os.fsync(file.fileno())
        if (folder / CURRENT).exists():
            os.replace(folder / CURRENT, folder / PREVIOUS)
        os.replace(temporary, folder / CURRENT)
        _flush_folder(folder)
    except (OSError, RuntimeError) as error:  # torch.save reports a failed write as RuntimeError
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise UserError(
            f"cannot write a checkpoint into {folder}: {error}. The checkpoint before it is untouched: "
            f"make room and go on with: ssl-mix resume {quoted(folder)}"
        ) from error


def _flush_folder(folder: Path) -> None:
    if os.name == "nt":  # Windows cannot open a folder, and flushes renames itself
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def load_checkpoint(
    folder: Path,
    content: Mapping[str, type] = {},  # noqa: B006 (not changed)
) -> tuple[dict[str, Any] | None, list[str]]:
    """The newest whole checkpoint in ``folder``, on the CPU, and why newer ones were refused.

    Args:
        folder: of a run.
        content: name and type of what it must hold.

    Returns:
        The state, or None where no checkpoint has been written yet; and one message for each file that was
        refused.

    Raises:
        ValueError: there are checkpoints, and none of them is whole.
    """
    refused: list[str] = []
    present = [folder / name for name in (CURRENT, PREVIOUS) if (folder / name).exists()]
    for path in present:
        if path.is_dir():
            raise UserError(f"{path} is a folder, and checkpoints go there: take it away")
    for path in present:
        try:
            state = read_checkpoint(path)
            _check_content(state, content, path)
            return state, refused
        except UserError as error:
            refused.append(str(error))
    if present:
        raise UserError(f"no checkpoint can be used ({'; '.join(refused)}): {AGAIN}")
    return None, refused


def read_checkpoint(path: Path) -> dict[str, Any]:
    """One checkpoint file, with its check sums verified and nothing but tensors and plain values loaded.

    Raises:
        ValueError: the file is cut short, damaged or not a checkpoint of ssl-mix.
    """
    state = load_whole(path)
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        found = state.get("format") if isinstance(state, dict) else type(state).__name__
        raise UserError(f"{path} is not a checkpoint of ssl-mix: expected format {FORMAT!r}, found {found!r}")
    return state


def _check_content(state: dict[str, Any], content: Mapping[str, type], path: Path) -> None:
    lacking = [
        name for name, kind in content.items() if name not in state or not isinstance(state[name], kind)
    ]
    if lacking:
        raise UserError(f"{path} is not a whole checkpoint of ssl-mix: {lacking[0]!r} is missing or damaged")
