"""How commands end: by signals, by a pipe that nobody reads any more; and what they print meanwhile."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ssl_mix.cli.lines import TrainingLines, duration
from ssl_mix.cli.main import main
from ssl_mix.runs.answered import evaluate
from ssl_mix.runs.checkpoint import read_checkpoint
from ssl_mix.runs.folder import chosen_by_auto, read_metrics
from ssl_mix.runs.trained import load_trained

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals and pipes")
DIGITS = ["--data", "digits", "--labels", "20", "--batch-size", "4", "--threads", "1"]
LONG = ["train", "fixmatch", *DIGITS, "--steps", "5000", "--log-every", "5", "--out"]


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def started(*words: str, **options: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "ssl_mix", *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def wait_for_steps(folder: Path, steps: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 300
    while not (folder / "metrics.jsonl").exists() or not read_metrics(folder)[steps // 5 :]:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.slow
def test_sigterm_saves_and_exits_with_143() -> None:
    """Twice, as ``timeout`` sends it."""
    process = started(*LONG, "run")
    wait_for_steps(Path("run"), 10, process)
    for _ in range(2):
        process.send_signal(signal.SIGTERM)
    output, said = process.communicate(timeout=300)
    assert process.returncode == 143 and said == ""
    assert output.count("stopped after step") == 1 and "ssl-mix resume run" in output
    assert read_checkpoint(Path("run/checkpoint.pt"))["step"] >= 10
    assert Path("run/report.html").exists()


@pytest.mark.slow
def test_a_closed_pipe_is_no_error_and_what_was_learned_is_saved() -> None:
    process = started(*LONG, "run", "--eval-every", "10", "--checkpoint-every", "5000")
    with process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(timeout=300) == 141 and process.stderr.read() == ""
    assert read_checkpoint(Path("run/checkpoint.pt"))["step"] >= 10


@pytest.mark.parametrize(
    "words", [["list"], ["--help"], ["train", "--help-all"], ["demo", "--help"], ["check", "--help"]], ids=str
)
def test_a_pipe_that_is_closed_early_ends_in_silence(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reads, writes = os.pipe()
    os.close(reads)
    with open(writes, "w", buffering=1) as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        with pytest.raises(SystemExit) as stop:
            main(words)
    assert stop.value.code == 141 and capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("words", "place"),
    [
        (["train", "fixmatch", *DIGITS, "--steps", "2", "--out", "x"], "ssl_mix.cli.train.start"),
        (["auto", *DIGITS, "--net", "small-cnn", "--out", "x"], "ssl_mix.recipes.auto.read_data"),
        (["auto", *DIGITS, "--net", "small-cnn", "--out", "x"], "ssl_mix.recipes.auto.learned_features"),
        (["auto", *DIGITS, "--net", "small-cnn", "--out", "x"], "ssl_mix.recipes.auto.search"),
        (["check", "fixmatch", *DIGITS], "ssl_mix.cli.check.prepare"),
        (["evaluate", "run"], "ssl_mix.cli.evaluate.answer_test_part"),
        (["predict", "run", ".", "--out", "p.csv"], "ssl_mix.cli.use.predict"),
        (["resume", "run"], "ssl_mix.cli.use.reopen"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_outside_training_is_one_line(
    words: list[str],
    place: str,
    number: int,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        os.kill(os.getpid(), number)
        time.sleep(5)

    for command in ("evaluate", "use"):  # which has its own name for it
        loaded = SimpleNamespace(device="cpu"), "none"
        monkeypatch.setattr(f"ssl_mix.cli.{command}.load_to_answer", lambda *_, loaded=loaded: loaded)
    monkeypatch.setattr("ssl_mix.recipes.auto.learned_features", lambda *_: None)
    monkeypatch.setattr(place, interrupted)
    with pytest.raises(SystemExit) as stop:
        main(words)
    *before, said = capsys.readouterr().err.splitlines()
    assert stop.value.code == status and said == "ssl-mix: interrupted"
    assert [line[:25] for line in before] == ["note: x had not begun, an"] * (words[0] in ("train", "auto"))
    assert not Path("x").exists()


def test_what_ends_auto_while_it_tries_the_body_leaves_the_head(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    there: list[str | None] = []

    def interrupted(*_: object) -> None:
        load_trained(Path("x"))  # what a kill, which nobody hears of, would leave
        there.append(chosen_by_auto(Path("x")))
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)

    monkeypatch.setattr("ssl_mix.recipes.auto.climb_body", interrupted)
    several = ["--data", "digits", "--labels-per-class", "3", "--threads", "1", "--pretrained", "none"]
    with pytest.raises(SystemExit) as stop:
        main(["auto", *several, "--net", "small-cnn", "--out", "x"])
    *_, note, said = capsys.readouterr().err.splitlines()
    assert stop.value.code == 143 and said == "ssl-mix: interrupted" and there == ["whitened"]
    assert note.startswith("note: the body is left as it was: x holds whitened, found before, which answers")
    head = evaluate(load_trained(Path("x"))).accuracy
    main(["resume", "x"])
    assert evaluate(load_trained(Path("x"))).accuracy == head > 0.3 and Path("x/report.html").exists()


def test_without_a_test_part_each_tenth_has_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    rare = ["--log-every", "1000", "--eval-every", "1000", "--checkpoint-every", "7"]
    main(["train", "fixmatch", *DIGITS, "--steps", "20", *rare, "--out", "run"])
    found = re.findall(
        r"step (\d+)/20  loss [\d.]+  coverage [\d.]+ .*?(\d+) images/s", capsys.readouterr().out
    )
    assert [int(step) for step, _ in found] == list(range(2, 21, 2))
    assert all(int(speed) > 0 for _, speed in found)
    assert [record["step"] for record in read_metrics(Path("run"))] == [20]


def test_records_are_those_that_were_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    often = ["--log-every", "4", "--eval-every", "4", "--checkpoint-every", "1"]
    main(["train", "supervised", *DIGITS, "--steps", "10", *often, "--out", "run"])
    assert [record["step"] for record in read_metrics(Path("run"))] == [4, 8, 10]


def test_time_left_is_told_from_the_first_minute_on(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("ssl_mix.cli.lines.time.perf_counter", lambda: clock[0])
    told = TrainingLines("x", 1000, done=100)
    clock[0] = 59.0
    assert not told.due(150)
    clock[0] = 61.0
    assert told.due(150)
    line = told.line({"step": 150, "loss": 1.0})
    assert line is not None and line.endswith(f"{duration(61 / 50 * 850)} left") and "17 min left" in line
    assert not told.due(151) and told.due(200)
    assert "left" not in str(told.line({"step": 1000, "loss": 1.0}))


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7199, "120 min"), (9000, "2.5 h")]
)
def test_durations_are_short(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_help_of_demo_imports_no_torch() -> None:
    code = "import atexit, sys\natexit.register(lambda: print('torch' in sys.modules))\n"
    code += "from ssl_mix.cli.main import main\nmain(['demo', '--help'])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.stdout.endswith("False\n") and "--labels-per-class" in found.stdout


@pytest.mark.parametrize("words", [["check", "--help"], ["check", "fixmatch", "--help-all"]], ids=str)
def test_check_does_not_ask_for_a_folder(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    main(words)
    shown = re.sub(r"[\s\u2502]+", " ", capsys.readouterr().out)
    assert "--out PATH folder of the run. (optional)" in shown and "required" not in shown
    main(["train", *words[1:]])
    assert "--out PATH folder of the run. (required)" in re.sub(r"[\s\u2502]+", " ", capsys.readouterr().out)
