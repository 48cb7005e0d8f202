"""Damaged run folders end in a result or in one sentence, never in a traceback, and stay as they are.

``SSL_MIX_CASES=500`` tries as many of each kind; the seed of a case is in its message.
"""

import hashlib
import os
import random
import shutil
import traceback
from pathlib import Path

import numpy as np
import pytest
from damage import WAYS
from PIL import Image

from ssl_mix.cli.main import main
from ssl_mix.runs.session import Session

CASES = int(os.environ.get("SSL_MIX_CASES", "60"))
SEEDS = range(CASES)
FILES = (
    "config.json",
    "split.json",
    "metrics.jsonl",
    "files.json",
    "checkpoint.pt",
    "checkpoint.previous.pt",
)
QUICK = ["--image-size", "8", "--net", "small-cnn", "--batch-size", "4", "--threads", "1", "--steps", "3"]
COMMANDS = (
    ["resume", "run"],
    ["resume", "run", "--steps", "4"],
    ["evaluate", "run"],
    ["evaluate", "run", "--json"],
    ["predict", "run", "birds/test", "--out", "out.csv"],
    ["pseudo-labels", "run", "--out", "out.csv"],
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with images and a run on them."""
    folder = tmp_path_factory.mktemp("whole")
    generator = np.random.default_rng(0)
    for part, count in (("labeled", 3), ("unlabeled", 6), ("test", 2)):
        for label, name in enumerate(("dark", "light")):
            place = folder / "birds" / part if part == "unlabeled" else folder / "birds" / part / name
            place.mkdir(parents=True, exist_ok=True)
            for number in range(count):
                pixels = generator.integers(0, 90, (8, 8, 3)) + 150 * label
                Image.fromarray(pixels.astype(np.uint8)).save(place / f"{name}{number}.png")
    before = Path.cwd()
    os.chdir(folder)
    try:
        parts = [word for p in ("labeled", "unlabeled", "test") for word in (f"--{p}", f"birds/{p}")]
        main(["train", "fixmatch", *parts, *QUICK, "--unlabeled-ratio", "1", "--out", "run"])
    finally:
        os.chdir(before)
    return folder


def contents(folder: Path) -> dict[str, str]:
    """A check sum of each file."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def train_alone(session: Session) -> None:
    """What ``resume`` does, without its reports."""
    list(session.records())


def test_damaged_runs_end_in_one_sentence_and_stay_as_they_are(
    whole: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(whole)
    monkeypatch.setattr("ssl_mix.cli.use.finish", train_alone)
    shutil.copytree("run", "kept")
    faults = []
    for seed in SEEDS:
        shutil.rmtree("run")
        shutil.copytree("kept", "run")
        draw = random.Random(seed)
        for name in draw.sample(FILES, draw.choice((1, 1, 1, 2))):
            way = draw.choice(WAYS)
            if name == "files.json" and way.__name__ in ("drop", "other_kind"):
                continue  # a list
            way(Path("run") / name, draw)
        command, before = draw.choice(COMMANDS), contents(Path("run"))
        capsys.readouterr()
        wrong = fault(command, capsys)
        resumed = command[0] == "resume" and wrong == ""
        fine = wrong == "" or wrong.startswith("refused")
        if fine and not resumed and contents(Path("run")) != before:
            wrong = f"the folder has changed after: {wrong}"
            fine = False
        if not fine:
            faults.append(f"seed {seed}: {' '.join(command)}: {wrong}")
    assert not faults, "\n".join(faults)


def fault(command: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What is wrong with how a command ends: nothing for a result, for one sentence what begins with
    "refused"."""
    status: object = 0
    try:
        main(list(command))
    except SystemExit as stop:
        status = stop.code
    except BaseException:
        return traceback.format_exc()
    said = capsys.readouterr().err
    if status == 0:
        return ""
    told = [line for line in said.splitlines() if line.startswith("ssl-mix: ")]
    return f"refused: {said}" if status in (1, 2) and len(told) == 1 and "Traceback" not in said else said
