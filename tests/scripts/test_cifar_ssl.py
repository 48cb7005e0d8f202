"""The semi-supervised benchmark script on digits: what it runs, skips, resumes, refuses and prints."""

import importlib
import json
import re
import subprocess
import sys
import threading
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TextIO

import numpy as np
import pytest
from PIL import Image

from ssl_mix.cli.main import main as ssl_mix_main
from ssl_mix.runs.folder import read_metrics

ROOT = Path(__file__).resolve().parents[2]
TINY = ["--net", "small-cnn", "--steps", "4", "--batch-size", "4", "--eval-every", "2"]


@pytest.fixture
def script_of_processes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """The script, in an empty folder."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    monkeypatch.chdir(tmp_path)
    return importlib.import_module("cifar_ssl")


class Here:
    """A process of ``python -m ssl_mix`` that is none: its command runs in this process."""

    def __init__(self, command: list[str], stdout: TextIO, stderr: TextIO, pass_fds: list[int]) -> None:
        del pass_fds
        self.returncode = 0
        assert command[:3] == [sys.executable, "-m", "ssl_mix"]
        with redirect_stdout(stdout), redirect_stderr(stderr):
            try:
                ssl_mix_main(command[3:])
            except SystemExit as stop:
                self.returncode = stop.code if isinstance(stop.code, int) else 1

    def wait(self) -> None:
        """It has ended."""


@pytest.fixture
def script(script_of_processes: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The script, in an empty folder, whose runs are trained in this process."""
    monkeypatch.setattr(importlib.import_module("benchmark_runs"), "subprocess", SimpleNamespace(Popen=Here))
    return script_of_processes


def arguments(*extra: Any, algorithms: Any = ("fixmatch",), mix: Any = ("none",), train: Any = TINY) -> Any:
    own = ["--data", "digits", "--labels", "40", "--seeds", "0", "--json", "r.jsonl", "--out", "runs"]
    return [*own, "--algorithms", *algorithms, "--mix", *mix, *extra, "--", *train]


def read_lines(file: Any, planned: Any) -> Any:
    return importlib.import_module("benchmark_runs").read_lines(file, planned)


def lines() -> Any:
    return [json.loads(line) for line in Path("r.jsonl").read_text().splitlines()]


def test_runs_once_resumes_and_prints(script: Any, capsys: pytest.CaptureFixture[str]) -> None:
    mix = ("none", "dm-as")
    chosen = arguments("--markdown", "t.md", algorithms=("supervised", "fixmatch"), mix=mix)
    script.main(chosen)
    assert capsys.readouterr().out.count("ssl-mix train") == 3  # supervised has nothing to mix with "dm-as"
    found = lines()
    assert [(x["algorithm"], x["mix"]) for x in found] == [
        ("supervised", "none"), ("fixmatch", "none"), ("fixmatch", "dm-as"),
    ]  # fmt: skip
    assert len({x["identity"]["dataset.split_sha256"] for x in found}) == 1
    records = read_metrics(Path("runs/digits-40/fixmatch-none/seed0"))
    assert found[1]["error_last"] == pytest.approx(100 * (1 - records[-1]["test_accuracy"]), abs=1e-3)
    assert found[1]["identity"]["train.steps"] == 4 and found[1]["coverage"] is not None
    text = Path("t.md").read_text()
    assert f"| fixmatch | none | {found[1]['error_last']:.2f} (1) |" in text

    script.main(chosen)  # everything is finished: nothing is trained, no line is added
    assert "ssl-mix train" not in capsys.readouterr().out
    assert lines() == found


@pytest.mark.slow
def test_a_cut_run_is_resumed_to_the_same_numbers(script: Any, capsys: pytest.CaptureFixture[str]) -> None:
    script.main(arguments())
    whole = lines()[0]
    folder = Path("runs/digits-40/fixmatch-none/seed0")
    Path("r.jsonl").unlink()
    folder.rename("kept")
    (planned,) = script.plan(script.read_options(arguments()))
    process = [sys.executable, "-c", CUT, "train", *planned.arguments]
    assert subprocess.run(process, capture_output=True).returncode == 9
    assert len(read_metrics(folder)) < len(read_metrics(Path("kept")))
    capsys.readouterr()
    script.main(arguments())
    assert "cut  ssl-mix resume" in capsys.readouterr().out
    assert {k: lines()[0][k] for k in ("error_last", "error_median20", "error_best")} == {
        k: whole[k] for k in ("error_last", "error_median20", "error_best")
    }


# The process dies as if killed, just after a checkpoint.
CUT = """
import os
from ssl_mix.runs.session import Session
save = Session.save
def save_and_die(session):
    save(session)
    os._exit(9)
Session.save = save_and_die
from ssl_mix.cli.main import main
main()
"""


def test_a_run_with_other_flags_is_refused(script: Any) -> None:
    script.main(arguments())
    with pytest.raises(SystemExit, match="train.lr: 0.03 then, 0.5 now"):
        script.main(arguments(train=[*TINY, "--lr", "0.5"]))
    with pytest.raises(SystemExit, match="algorithm.threshold: 0.95 then, 0.5 now"):
        script.main(arguments("--only", "fixmatch: --threshold 0.5"))
    assert len(lines()) == 1


def test_other_pictures_are_another_run(script: Any, tmp_path: Path) -> None:
    """The same flags but for the folder: not the same result."""
    for seed, part in enumerate(("p", "q", "test")):
        draw = np.random.default_rng(seed)
        for name in ("a", "b"):
            (tmp_path / part / name).mkdir(parents=True)
            for index in range(6):
                pixels = draw.integers(0, 255, (8, 8, 3)).astype(np.uint8)
                Image.fromarray(pixels).save(tmp_path / part / name / f"{index}.png")
    own = ["--data", "folder", "--labels", "4", "--seeds", "0", "--json", "r.jsonl", "--out", "runs"]
    own += ["--algorithms", "supervised", "--mix", "none", "--", "--image-size", "8", *TINY]
    script.main([*own, "--train", "p", "--test", "test"])
    with pytest.raises(SystemExit, match="this is not the run that"):
        script.main([*own, "--train", "q", "--test", "test"])


def test_what_is_wrong_is_said_before_any_training(script: Any, capsys: pytest.CaptureFixture[str]) -> None:
    for wrong in (["--treshold", "0.5"], ["--threshold", "1.5"]):
        with pytest.raises(SystemExit) as stop:
            script.main(arguments("--only", "uda: " + " ".join(wrong), algorithms=("supervised", "uda")))
        assert "threshold" in f"{stop.value}{capsys.readouterr().err}"
    with pytest.raises(SystemExit, match="take 40 or 50"):
        script.main([*arguments("--labels", "40", "45")])
    assert not Path("runs").exists()


def test_one_failure_does_not_stop_the_others(script: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match=r"1 of 2 runs failed(.|\n)*NaN"):
        script.main(arguments("--only", "uda: --lr 1e30", algorithms=("uda", "fixmatch")))
    assert "| fixmatch | none |" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (["--data", "digits", "--algorithms", "fixmach"], "Did you mean 'fixmatch'"),
        (["--data", "digits", "--only", "fixmach: --lr 1"], "Did you mean 'fixmatch'"),
        (["--data", "digits"], "give --labels"),
        (["--data", "images/cifar", "--labels", "40"], "data must be one of .*got 'images/cifar'"),
        (["--data", "folder", "--labels", "40"], "--data folder needs --train DIR"),
        (["--data", "digits", "--labels", "40", "--", "--seed", "3"], "--seed is set for each run"),
        (["--data", "digits", "--labels", "40", "--only", "uda: --mix=as"], "--mix=as is set for each run"),
        (["--data", "digits", "--labels", "40", "--jobs", "0"], "jobs must be above 0"),
    ],
)
def test_wrong_options(script: Any, wrong: Any, words: Any) -> None:
    with pytest.raises(SystemExit, match=words):
        script.main(["--json", "r.jsonl", *wrong])


def test_what_makes_no_sense_is_left_out(script: Any, capsys: pytest.CaptureFixture[str]) -> None:
    names = ("supervised", "fixmatch", "mixmatch", "remixmatch", "pi-model")
    assert {*names} <= {*script.SEMI_SUPERVISED}
    jobs = script.jobs(script.read_options(arguments(algorithms=names, mix=script.MIXES)))
    chosen = [f"{job.algorithm}-{job.mix}" for job in jobs]
    assert len(chosen) == len(names) * len(script.MIXES) - 2 - 2
    assert not {"supervised-as", "supervised-dm-as", "mixmatch-mixup", "remixmatch-mixup"} & set(chosen)
    script.main(arguments("--dry-run", algorithms=("remixmatch", "fixmatch"), mix=("mixup", "dm-as")))
    listed = re.findall(r"new +4 steps +runs/digits-40/(\S+)/seed0", capsys.readouterr().out)
    assert listed == ["remixmatch-dm-as", "fixmatch-mixup", "fixmatch-dm-as"]
    assert not Path("runs").exists()


def line(**changes: Any) -> Any:
    job = {"algorithm": "fixmatch", "mix": "none", "labels": 250, "seed": 0}
    return job | {"error_last": 5.0, "error_median20": 5.5, "error_best": 4.0} | changes


def test_the_table_has_means_deviations_and_published_numbers(script: Any) -> None:
    found = [line(seed=seed, error_last=last) for seed, last in enumerate((4.0, 5.0, 6.0))]
    found += [line(mix="dm-as", error_last=3.0), line(labels=40, error_last=None)]
    text = script.table(found, "cifar10")
    assert "| algorithm | mixing | 40 labels | 250 labels |" in text
    assert "| fixmatch | none |  | 5.00 +- 1.00 (3) |" in text
    assert "| fixmatch | dm-as |  | 3.00 (1) |" in text
    assert "published, fixmatch, 250 labels: 4.86 +- 0.05 (TorchSSL" in text


def test_lines_of_other_settings_are_left_out(script: Any) -> None:
    planned = script.plan(script.read_options(arguments()))
    job = planned[0].job._asdict()
    found = [job | {"identity": planned[0].identity}, job | {"identity": {"train.lr": 1.0}}]
    Path("r.jsonl").write_text("".join(json.dumps(x) + "\n" for x in found))
    assert read_lines(Path("r.jsonl"), planned) == found[:1]


def test_lines_that_were_measured_before_still_count(script: Any) -> None:
    """Options that came later had their default then."""
    own = [
        "--data",
        "digits",
        "--labels",
        "40",
        "--json",
        "r.jsonl",
        "--algorithms",
        "supervised",
        "fixmatch",
    ]
    flags = ["--steps", "500", "--batch-size", "32", "--lr", "0.1"]
    planned = script.plan(script.read_options([*own, "--", *flags]))
    found = read_lines(ROOT / "scripts/results/cifar_ssl.jsonl", planned)
    assert len(planned) == len(found) == 9
    other = script.plan(script.read_options([*own, "--", *flags, "--ema-decay", "0.9"]))
    assert read_lines(ROOT / "scripts/results/cifar_ssl.jsonl", other) == []


def test_the_command_that_is_printed_can_be_typed(script: Any) -> None:
    (planned,) = script.plan(script.read_options(arguments()))
    ssl_mix_main(["train", *planned.arguments])
    assert planned.state == "finished"


def test_once_stopped_no_other_run_begins(
    script_of_processes: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module, begun = importlib.import_module("benchmark_runs"), []

    class Process:
        """A run during which SIGTERM comes."""

        def __init__(self, command: list[str], **_: Any) -> None:
            self.returncode = 0
            begun.append(command)

        def send_signal(self, number: int) -> None:
            """It will end."""

        def wait(self) -> None:
            if len(begun) == 1 and not module.STOPPED.is_set():
                module.stop(15, None)

    monkeypatch.setattr(module, "STOPPED", threading.Event())
    monkeypatch.setattr(module.os, "_exit", lambda status: None)
    monkeypatch.setattr(module, "subprocess", SimpleNamespace(Popen=Process))
    with pytest.raises(SystemExit):
        script_of_processes.main(arguments(mix=("none", "dm-as")))
    told = capsys.readouterr()
    assert len(begun) == told.out.count("ssl-mix train") == 1 and "the same command goes on" in told.err


def test_mixing_is_held_against_none_over_the_seeds_that_both_have(script: Any) -> None:
    made = [("none", 0, 30.0), ("none", 1, 40.0), ("none", 2, 1.0), ("dm-as", 0, 29.0), ("dm-as", 1, 36.0)]
    lines = [
        {"algorithm": "fixmatch", "mix": mix, "labels": 40, "seed": seed}
        | dict.fromkeys(("error_last", "error_median20", "error_best"), value)
        for mix, seed, value in made
    ]
    text = script.table(lines, "digits")
    assert f"| fixmatch | dm-as | +2.50 +- {np.std((1, 4), ddof=1):.2f} (2) |" in text
    assert "less that with `none`" in text and "less that" not in script.table(lines[:3], "digits")
