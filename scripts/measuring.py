"""What the benchmarks share: taking turns, and saying where and how a number was measured."""

import fcntl
import json
import os
import platform
import shlex
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parents[1]
ALLOCATOR = (
    "MALLOC_",
    "GLIBC_TUNABLES",
    "LD_PRELOAD",
    "PYTORCH_CUDA_ALLOC_CONF",
    "PYTORCH_ALLOC_CONF",
    "THP_MEM",
)


def now(device: torch.device) -> float:
    """Seconds on a clock, once the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def measure(
    functions: Mapping[str, Callable[[], object]], rounds: int, device: torch.device
) -> dict[str, float]:
    """Median seconds of each function; they take turns, so that a slow moment of the machine hits all."""

    def seconds(function: Callable[[], object]) -> float:
        began = now(device)
        function()
        return now(device) - began

    for function in functions.values():
        seconds(function), seconds(function)
    taken: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            taken[name].append(seconds(function))
    return {name: statistics.median(values) for name, values in taken.items()}


def hardware(device: torch.device) -> str:
    """The processor or GPU, in words."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    model = next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")),
        platform.processor(),
    )
    return f"{model}, {torch.get_num_threads()} threads"


def commit() -> str:
    """The commit of the source tree, with a mark if files differ from it, results aside: they grow line by
    line. Where there is no repository, what SSL_MIX_COMMIT says."""
    said = os.environ.get("SSL_MIX_COMMIT", "unknown")
    if shutil.which("git") is None:
        return said
    changed = _git("status", "--porcelain", "--", ":/", ":(top,exclude)scripts/results")
    return _git("rev-parse", "--short", "HEAD") + ("-dirty" if changed else "") or said


def _git(*words: str) -> str:
    root = Path(__file__).parent
    return subprocess.run(["git", *words], cwd=root, capture_output=True, text=True).stdout.strip()


def command_line() -> str:
    """The command that runs, without the folders that are this machine's alone."""
    return shlex.join(["python", *map(public, sys.argv)])


def public(word: str) -> str:
    """A word of a command: of an absolute path the part within the source tree, else the name."""
    path = Path(word)
    if not path.is_absolute():
        return word
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else path.name


def circumstances(device: torch.device | None = None) -> dict[str, Any]:
    """Hardware, versions, command, commit, allocator and load: what belongs beside every number."""
    return {
        "hardware": hardware(device or torch.device("cuda" if torch.cuda.is_available() else "cpu")),
        "torch": torch.__version__,
        "commit": commit(),
        "command": command_line(),
        "allocator": {k: v for k, v in os.environ.items() if k.startswith(ALLOCATOR)} or "default",
        "load": os.getloadavg()[0],
    }


def append_line(file: Path, result: dict[str, Any]) -> None:
    """Add one line of JSON to a file of results, to which others may add at the same time."""
    with open(file, "a") as lines:
        fcntl.flock(lines, fcntl.LOCK_EX)
        lines.write(json.dumps(result) + "\n")


def lines_of(file: Path) -> list[dict[str, Any]]:
    """What was added to a file of results, by line; nothing where there is no file yet."""
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
