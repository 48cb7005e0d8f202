"""Runs of a benchmark that several processes share: who is at work on which, and jobs of a scheduler."""

import argparse
import fcntl
import inspect
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ssl_mix.errors import UserError

# Settings that all executors of submitit have.
SHARED = [
    "cluster",
    "name",
    "nodes",
    "gpus_per_node",
    "tasks_per_node",
    "cpus_per_task",
    "mem_gb",
    "timeout_min",
]
NO_LIMIT = {"timeout_min": 60 * 24 * 365}  # where submitit runs jobs here, it stops them after 2 minutes


@contextmanager
def claimed(folder: Path) -> Iterator[int | None]:
    """Within the block nobody else works on the run in ``folder``: the descriptor of its lock, or None while
    somebody does.

    The system ends the lock with the last process that holds the descriptor. So a run is given to the process
    that trains it too: it is free once that has ended, however the script ended that began it.

    Raises:
        ValueError: the file system knows no locks.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = folder.parent / f"{folder.name}.lock"
    descriptor = os.open(lock, os.O_CREAT | os.O_RDWR, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        yield None
        return
    except OSError as error:
        os.close(descriptor)
        raise UserError(f"expected a file system with locks, got {error.strerror} at {lock}") from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The flags that say who trains."""
    parser.add_argument(
        "--jobs", type=int, default=1, help="runs at once; with --slurm, jobs of one run each"
    )
    parser.add_argument(
        "--slurm",
        nargs="*",
        default=[],
        metavar="KEY=VALUE",
        help="have SLURM train, through submitit: partition=gpu gpus_per_node=1 timeout_min=240; "
        "cluster=local tries it on this machine",
    )


def settings_of(words: Sequence[str]) -> dict[str, Any]:
    """What ``--slurm`` says, in the names of ``submitit.AutoExecutor``.

    Raises:
        ValueError: a word is not KEY=VALUE.
    """
    found: dict[str, Any] = {}
    for word in words:
        key, is_pair, value = word.partition("=")
        if not (is_pair and key and value):
            raise UserError(f"--slurm: expected KEY=VALUE, such as partition=gpu, got {word!r}")
        name = key if key in SHARED else f"slurm_{key}"
        found[name] = int(value) if value.isdecimal() else value
    return found


def submit(options: argparse.Namespace, work: Callable[..., Any]) -> None:
    """Let ``--jobs`` jobs of the scheduler run the script, each the runs that nobody is at work on, and wait
    until they have ended.

    Args:
        options: from ``parse``.
        work: a function of the script.

    Raises:
        ValueError: submitit is missing, or does not know a setting.
    """
    try:
        import submitit
        from submitit.helpers import CommandFunction
    except ImportError as error:
        raise UserError("--slurm submits its jobs through submitit: pip install 'ssl-mix[slurm]'") from error
    script, settings = inspect.getsourcefile(work), settings_of(options.slurm)
    command = [sys.executable, str(script), *options.words, "--jobs", "1", "--slurm", "--", *options.flags]
    logs = options.out.resolve() / "jobs"
    try:
        executor = submitit.AutoExecutor(folder=logs, cluster=settings.pop("cluster", None))
        limit = NO_LIMIT if executor.cluster == "local" else {}
        executor.update_parameters(**{"name": Path(str(script)).stem, **limit, **settings})
        with executor.batch():
            jobs = [executor.submit(CommandFunction(command, cwd=Path.cwd())) for _ in range(options.jobs)]
    except (RuntimeError, NameError, TypeError, ValueError) as error:
        raise UserError(f"--slurm {shlex.join(options.slurm)}: {error}") from error
    numbers = " ".join(job.job_id for job in jobs)
    print(f"{len(jobs)} {executor.cluster} jobs, whose output is in {logs}: {numbers}", flush=True)
    for job in jobs:
        job.wait()
