"""Scripts that share their runs with others at work on the same ones."""

import contextlib
import fcntl
import importlib
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ssl_mix import UserError

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
GRID = [
    *("--data", "digits", "--labels", "40", "--seeds", "0", "--json", "r.jsonl", "--out", "runs"),
    *("--algorithms", "supervised", "--mix", "none"),
]
TINY = ["--", "--net", "small-cnn", "--steps", "2", "--batch-size", "4", "--eval-every", "2"]


@pytest.fixture
def sweeps(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    monkeypatch.chdir(tmp_path)
    return importlib.import_module("sweeps")


def test_a_run_is_of_one_process_and_free_once_that_is_dead(sweeps: Any) -> None:
    folder = Path("runs/seed0")
    told, tell = os.pipe()
    child = os.fork()
    if not child:
        with sweeps.claimed(folder) as lock:
            os.write(tell, b"1" if lock else b"0")
            signal.pause()
    assert os.read(told, 1) == b"1"
    with sweeps.claimed(folder) as lock:
        assert lock is None
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with sweeps.claimed(folder) as lock, sweeps.claimed(folder) as again:
        assert lock is not None and again is None
    for descriptor in (told, tell):
        os.close(descriptor)


def test_a_run_stays_taken_while_the_process_that_trains_it_lives(sweeps: Any) -> None:
    with sweeps.claimed(Path("seed0")) as lock:
        trains = subprocess.Popen(["sleep", "60"], pass_fds=[lock])
    with sweeps.claimed(Path("seed0")) as lock:
        assert lock is None
    trains.kill()
    trains.wait()
    with sweeps.claimed(Path("seed0")) as lock:
        assert lock is not None


def test_a_line_waits_for_that_of_another(sweeps: Any) -> None:
    append_line = importlib.import_module("measuring").append_line
    with open("r.jsonl", "a") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        adds = threading.Thread(target=append_line, args=(Path("r.jsonl"), {"mine": 1}))
        adds.start()
        adds.join(0.2)
        assert adds.is_alive() and not Path("r.jsonl").read_text()
        other.write('{"theirs": 1}\n')
    adds.join()
    assert [json.loads(line) for line in Path("r.jsonl").read_text().splitlines()] == [
        {"theirs": 1},
        {"mine": 1},
    ]


def test_settings_of_a_scheduler(sweeps: Any) -> None:
    found = sweeps.settings_of(["partition=gpu", "timeout_min=240", "constraint=a100"])
    assert found == {"slurm_partition": "gpu", "timeout_min": 240, "slurm_constraint": "a100"}
    with pytest.raises(UserError, match="expected KEY=VALUE, such as partition=gpu, got 'gpu'"):
        sweeps.settings_of(["gpu"])


@pytest.mark.slow
def test_two_scripts_at_once_train_a_run_once(sweeps: Any) -> None:
    del sweeps  # the folder
    command = [sys.executable, str(SCRIPTS / "cifar_ssl.py"), *GRID, *TINY]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    told = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert "".join(told).count("new  ssl-mix train") == 1
    assert len(Path("r.jsonl").read_text().splitlines()) == 1
    assert all(text.count("| supervised | none | ") == 3 for text in told)  # both print the tables


@pytest.mark.parametrize(
    ("cluster", "words", "limit"),
    [("local", [], 525600), ("local", ["timeout_min=9"], 9), ("slurm", [], None)],
)
def test_jobs_on_this_machine_have_no_limit_unless_one_is_set(
    cluster: str, words: list[str], limit: int | None, sweeps: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: dict[str, Any] = {}
    waited: list[str] = []

    class Executor:
        def __init__(self, folder: Path, cluster: str | None) -> None:
            self.cluster, self.batch = cluster, contextlib.nullcontext

        def update_parameters(self, **given: Any) -> None:
            settings.update(given)

        def submit(self, work: list[str]) -> SimpleNamespace:
            return SimpleNamespace(job_id="7", wait=lambda: waited.append(work[-1]))

    monkeypatch.setitem(sys.modules, "submitit", SimpleNamespace(AutoExecutor=Executor))
    helpers = SimpleNamespace(CommandFunction=lambda command, cwd: command)
    monkeypatch.setitem(sys.modules, "submitit.helpers", helpers)
    given = ["--seeds", "0", "--json", "r.jsonl", "--jobs", "2", "--slurm", f"cluster={cluster}", *words]
    runs = importlib.import_module("benchmark_runs")
    options = runs.parse(runs.parser_of(None, "runs"), [*given, "--", "--steps", "3"])
    sweeps.submit(options, runs.line_of)
    assert settings == {"name": "benchmark_runs"} | ({} if limit is None else {"timeout_min": limit})
    assert waited == ["3", "3"]


@pytest.mark.slow
def test_jobs_of_a_scheduler(sweeps: Any, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("submitit", reason="submitit is not installed: pip install 'ssl-mix[slurm]'")
    script = importlib.import_module("cifar_ssl")
    script.main([*GRID, "--jobs", "2", "--slurm", "cluster=local", *TINY])
    told = capsys.readouterr().out
    assert "2 local jobs, whose output is in" in told and told.count("| supervised | none | ") == 3
    assert len(Path("r.jsonl").read_text().splitlines()) == 1
    with pytest.raises(SystemExit, match="--slurm nonsense=1: .*slurm_nonsense"):
        script.main([*GRID, "--slurm", "nonsense=1", *TINY])
