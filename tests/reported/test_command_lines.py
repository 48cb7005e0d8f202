"""Random command lines out of the grammar of the flags end in a result or in one sentence, never in a
traceback.

``SSL_MIX_CASES=300`` tries as many; the seed of a case is in its message.
"""

import inspect
import os
import random
import re
import traceback
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest

from ssl_mix.algorithms import ALGORITHMS
from ssl_mix.cli.main import COMMANDS, main
from ssl_mix.engine.config import TrainConfig
from ssl_mix.mixing.terms import MixingTerms
from ssl_mix.recipes import RECIPES
from ssl_mix.runs.data_options import DataOptions
from ssl_mix.runs.net_options import NetOptions

CASES = int(os.environ.get("SSL_MIX_CASES", "25"))
NOT_DRAWN = (
    "steps",
    "batch_size",
    "unlabeled_ratio",
    "threads",
    "download",
    "compile",
    "net",
    "data",
    "mixing",
)
NUMBERS = ("0", "-1", "1", "2", "3", "0.5", "1e3", "nan", "inf", "x", "", "--", "1,2")
WORDS = ("", "x", "none", "nowhere", "0", "--help", "caf\xe9", "a b", "runs/x", ".")
LAST = ["--data", "digits", "--steps", "2", "--batch-size", "3", "--threads", "1", "--net", "small-cnn"]
OTHERS = {
    "resume": ("--data-root", "--steps", "--label", "--out"),
    "suggest": ("--n", "--by", "--unlabeled", "--net", "--out"),
    "audit": ("--data", "--net", "--image-size", "--out"),
    "evaluate": (
        "--test",
        "--crops",
        "--weights",
        "--device",
        "--confusion",
        "--json",
        "--data-dir",
        "--suite",
    ),
    "predict": ("--out", "--top", "--weights", "--device"),
    "pseudo-labels": ("--out",),
    "export": ("--to", "--out", "--weights", "--calibrated"),
    "transfer": ("--from", "--images", "--masks", "--out", "--head"),
    "report": ("--out", "--no-details"),
    "compare": ("--csv", "--latex", "--markdown"),
    "list": (),
}


def flags_of(*makers: Any) -> dict[str, Any]:
    """Name and type of each keyword."""
    found: dict[str, Any] = {}
    for made in makers:
        hints = get_type_hints(made.__init__)
        found |= {name: hints[name] for name in inspect.signature(made).parameters}
    return {name: hint for name, hint in found.items() if name not in NOT_DRAWN}


def words_of(name: str, hint: Any, draw: random.Random) -> list[str]:
    """A flag with a value that may or may not be one."""
    flag = "--" + name.replace("_", "-")
    kinds = [hint, *get_args(hint)]
    if bool in kinds:
        return [draw.choice((flag, "--no-" + flag[2:]))]
    literal = next((kind for kind in kinds if get_origin(kind) is Literal), None)
    if literal is not None and draw.random() < 0.7:
        return [flag, str(draw.choice(get_args(literal)))]
    value = draw.choice(NUMBERS if {int, float} & {*kinds} else WORDS)
    return draw.choice(([flag, value], [flag, value], [f"{flag}={value}"], [flag]))


def command_line(draw: random.Random) -> list[str]:
    """One that ends soon, whatever it does."""
    command = draw.choice(("train", "train", "train", "check", *OTHERS, "demos", ""))
    if command not in ("train", "check"):
        options = [w for f in OTHERS.get(command, ()) if draw.random() < 0.4 for w in (f, draw.choice(WORDS))]
        return [
            w for w in (command, draw.choice(("run", "nowhere", "", "all"))) if w or draw.random() < 0.5
        ] + options
    algorithm = draw.choice((*ALGORITHMS, "fixmach"))
    made = ALGORITHMS.get(algorithm, ALGORITHMS["fixmatch"])
    terms = (MixingTerms,) if "mixing" in inspect.signature(made).parameters or draw.random() < 0.1 else ()
    flags = flags_of(made, *terms, DataOptions, NetOptions, TrainConfig)
    chosen = draw.sample(sorted(flags), draw.choice((0, 1, 1, 2, 3)))
    words = [word for name in chosen for word in words_of(name, flags[name], draw)]
    recipe = ["--recipe", draw.choice(list(RECIPES))] if draw.random() < 0.3 else []
    few = ["--labels", "20"] if not any("label" in name for name in chosen) else []
    return [command, algorithm, *few, *words, *recipe, *LAST, "--out", "out"]


def fault(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What is wrong with how a command line ends; nothing for a result or one sentence."""
    status: object = 0
    try:
        main(list(words))
    except SystemExit as stop:
        status = stop.code
    except BaseException:
        return traceback.format_exc()
    output, said = capsys.readouterr()
    if status in (0, None):
        return ""
    told = re.findall("^ssl-mix: |For full helptext", said, re.MULTILINE)  # ours, or the parser's
    return "" if status in (1, 2) and told and "Traceback" not in said + output else f"{status}: {said}"


@pytest.mark.filterwarnings("ignore")
def test_random_command_lines_end_in_a_result_or_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("ssl_mix.cli.train.finish", lambda session: list(session.records()))
    monkeypatch.setattr("ssl_mix.cli.use.finish", lambda session: list(session.records()))
    main(["train", "supervised", "--labels", "20", *LAST, "--out", "run"])
    faults = []
    for seed in range(CASES):
        draw = random.Random(seed)
        words = [*command_line(draw)]
        words = [f"{word}{seed}" if word == "out" else word for word in words]
        found = fault(words, capsys)
        if found:
            faults.append(f"seed {seed}: {words}\n{found}")
    assert not faults, "\n".join(faults)


def test_every_command_is_tried_or_takes_too_long() -> None:
    assert COMMANDS.keys() - OTHERS.keys() == {"train", "check", "demo", "auto", "show-mixers"}
