"""Damaged run folders end in a result or in one sentence, never in a traceback, and stay as they are.

``SSL_MIX_CASES=500`` tries as many of each kind; the seed of a case is in its message.
"""

import hashlib
import json
import os
import random
import re
import shutil
import traceback
from functools import partial, reduce
from pathlib import Path

import numpy as np
import pytest
from damage import WAYS
from PIL import Image

from ssl_mix.cli.main import main
from ssl_mix.errors import UserError
from ssl_mix.runs.net_options import NetOptions
from ssl_mix.runs.session import Session, reopen
from ssl_mix.runs.trained import load_trained

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


@pytest.mark.parametrize(
    ("place", "value", "told"),
    [
        (("dataset", "augmentation", "std"), [0.0] * 3, "std must be above 0"),
        (("dataset", "augmentation", "mean"), None, "TypeError: .*mean"),
        (("dataset", "augmentation", "mean"), [0.5, "x", 0.5], "mean must be a number, got str"),
        (("dataset", "image_shape"), None, "KeyError: 'image_shape'"),
        (("data", "std"), [0.0] * 3, "std must be above 0, got 0.0"),
        (("data", "workers"), -1, "workers must not be negative, got -1"),
        (("data", "test"), 0, "test cannot be 0"),
        (("net", "tune"), "x", "tune must be one of"),
        (("net", "norms"), None, "'norms' is missing"),
        (("train", "lr"), 0.0, "lr must be above 0, got 0.0"),
        (("train", "other"), 1, "'other' is no option here"),
        (("algorithm", "threshold"), 2.0, "threshold must lie in"),
        (("algorithm", "mixing", "mix"), 0, "mix cannot be 0"),
    ],
)
def test_a_damaged_description_is_named_with_what_to_do(
    place: tuple[str, ...], value: object, told: str, whole: Path, tmp_path: Path
) -> None:
    """Each field by itself, dropped where there is no value for it; as `evaluate` and `resume` begin, and as
    weights of another run."""
    shutil.copytree(whole / "run", tmp_path / "run")
    file = tmp_path / "run" / "config.json"
    content = json.loads(file.read_text())
    *parents, name = place
    inner = reduce(dict.__getitem__, parents, content)
    if value is None:
        del inner[name]
    else:
        inner[name] = value
    file.write_text(json.dumps(content))
    expected = f"{file} is damaged, or not of this version of ssl-mix (.*{told}.*): put a copy in its place"
    pattern = re.escape(expected).replace(r"\.\*", ".*")
    as_weights = NetOptions(pretrained=str(tmp_path / "run"))
    uses = (as_weights.normalization,) if place[0] == "dataset" else (partial(reopen, tmp_path / "run"),)
    for use in (partial(load_trained, tmp_path / "run"), *uses):
        with pytest.raises(UserError, match=pattern):
            use()


@pytest.mark.parametrize("part", ["validation", "unlabeled", "labeled"])
def test_a_split_of_other_things_than_positions(part: str, whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole / "run", tmp_path / "run")
    file = tmp_path / "run" / "split.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {part: ["x"]}))
    with pytest.raises(
        UserError, match=f"{file} is damaged, .*'x' is no position .*: put a copy in its place"
    ):
        reopen(tmp_path / "run")


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
