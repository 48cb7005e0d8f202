"""What README.md shows works: its Python runs, its commands are known, its files exist."""

import json
import re
import shlex
import statistics
from pathlib import Path
from typing import Any

import pytest

import ssl_mix.losses
from ssl_mix import TrainConfig, Trainer
from ssl_mix.algorithms import ALGORITHMS
from ssl_mix.cli.main import main
from ssl_mix.datasets import choose_split, load_digits_data
from ssl_mix.mixers import MIXERS
from ssl_mix.models import build_model

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
MIXING = (ROOT / "docs/mixing.md").read_text()
SEMI = (ROOT / "docs/semi-supervised.md").read_text()
TRANSFERRED = (ROOT / "docs/transfer.md").read_text()
PYTHON = re.findall(r"```python\n(.*?)```", README + TRANSFERRED, re.DOTALL)
COMMANDS = sorted(
    set(
        re.findall(
            r"ssl-mix (?:demo|train|resume|predict|show-mixers)[^`\n|]*--out [^`\n]*",
            README + MIXING + SEMI + TRANSFERRED,
        )
    )
)


def run(block: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "readme"}
    exec(compile(block, "README.md", "exec"), names)
    return names


@pytest.mark.parametrize("block", PYTHON, ids=lambda block: re.findall(r"\w+", block)[-1])
def test_python_blocks_run(block: str, capsys: pytest.CaptureFixture[str]) -> None:
    if "timm" in block:
        pytest.importorskip("timm")
    names = run(block)
    if "loss" in names:
        assert names["loss"].ndim == 0 and names["loss"].isfinite() and names["loss"].requires_grad
    if "trainer" in names:
        assert "20 " in capsys.readouterr().out.splitlines()[-1]


def test_the_algorithm_that_readme_writes_trains() -> None:
    (block,) = (block for block in PYTHON if "class PseudoLabel" in block)
    algorithm = run(block)["PseudoLabel"](threshold=0.5)
    data = load_digits_data()
    split = choose_split(data.train.labels, 10, per_class=4, seed=0, classes=data.classes)
    config = TrainConfig(steps=60, batch_size=16, lr=0.1, eval_every=60)
    *_, last = Trainer(algorithm, build_model("small-cnn", 10, channels=1), data, split, config).fit()
    assert last["test_accuracy"] > 0.5 and last["bank_coverage"] > 0


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_are_understood(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Every flag is known: with --help at the end the command explains itself instead of running."""
    with pytest.raises(SystemExit) as stop:
        main([*shlex.split(command)[1:], "--help"])
    assert stop.value.code == 0
    assert "usage: ssl-mix" in capsys.readouterr().out


def test_linked_files_exist() -> None:
    links = re.findall(r"\]\(((?!http)[^)]+)\)", README)
    assert len(links) > 4
    assert [link for link in links if not (ROOT / link).exists()] == []
    links = re.findall(r"\]\(((?!http)[^)]+)\)", MIXING + SEMI + TRANSFERRED)
    assert [link for link in links if not (ROOT / "docs" / link).exists()] == []


def test_the_tables_are_complete() -> None:
    for name in ALGORITHMS:
        assert f"| `{name}` |" in README, name
    for name in MIXERS:
        assert re.search(rf"^\| .*`{name}`.* \|", MIXING, re.MULTILINE), name
    for name in ssl_mix.losses.__all__:
        assert f"`{name}" in MIXING, name


def test_the_switches_exist(capsys: pytest.CaptureFixture[str]) -> None:
    """Each flag of the table where papers and codes differ is one of an algorithm."""
    shown = ""
    for name in ALGORITHMS:
        with pytest.raises(SystemExit):
            main(["train", name, "--help"])
        shown += capsys.readouterr().out
    text, _, _ = SEMI.partition("## What each is worth")
    flags = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text))
    assert len(flags) > 20
    assert [flag for flag in sorted(flags) if flag not in ("--help", "--recipe") and flag not in shown] == []


def test_the_table_of_results_is_what_was_measured() -> None:
    """Mean and deviation of each method, from the lines that the script wrote."""
    file = ROOT / "scripts/results/supervised_mixup.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    methods = {line["method"]: [x["last"] for x in lines if x["method"] == line["method"]] for line in lines}
    assert len(methods) == 11 and {len(values) for values in methods.values()} == {3}
    for values in methods.values():
        assert f"| {statistics.mean(values):.2f} +- {statistics.stdev(values):.2f} |" in MIXING


def test_required_packages_are_explained() -> None:
    required = re.search(r"install_requires =\n((?:    .*\n)+)", (ROOT / "setup.cfg").read_text())
    assert required is not None
    for line in required[1].split():
        assert re.search(rf"^\| .*\b{re.match(r'[a-z0-9-]+', line)[0]}\b", README, re.MULTILINE)  # type: ignore[index]


def test_the_tables_of_semi_supervised_results_are_what_was_measured() -> None:
    """Mean and deviation of the accuracy of each algorithm on digits and on CIFAR-10 images, plain and with
    DM/AS."""
    lines = [json.loads(x) for x in (ROOT / "scripts/results/cifar_ssl.jsonl").read_text().splitlines()]
    rows = {(x["identity"]["dataset.name"], x["algorithm"], x["mix"]) for x in lines}
    assert rows and {algorithm for _, algorithm, _ in rows} <= ALGORITHMS.keys()
    for row in rows:
        found = [
            100 - x["error_last"]
            for x in lines
            if (x["identity"]["dataset.name"], x["algorithm"], x["mix"]) == row
        ]
        assert len(found) == 3, row
        text = f"{statistics.mean(found):.1f} +- {statistics.stdev(found):.1f}"
        assert re.search(rf"^\| `{row[1]}` \|.*{re.escape(text)}", SEMI, re.MULTILINE), (row, text)


def test_the_tables_of_transfer_results_are_what_was_measured() -> None:
    """Mean and deviation of the accuracy of each method, mixing, learning rate and rate of labels."""
    lines = [json.loads(x) for x in (ROOT / "scripts/results/transfer.jsonl").read_text().splitlines()]
    found: dict[tuple[Any, ...], list[float]] = {}
    for x in lines:
        key = x["set"], x["identity"]["train.lr"], x["method"], x["mix"], x["rate"]
        found.setdefault(key, []).append(100 - x["error_last"])
    for (data, _, method, mix, rate), values in found.items():
        assert len(values) == 3, (method, mix)
        text = f"{statistics.mean(values):.1f} +- {statistics.stdev(values):.1f}"
        bound = (
            data == "CIFAR-10, 5 classes" or rate == 100
        )  # random weights, all labels: named below the table
        row = "" if bound else rf"^\| `{method}` \| `{mix}` \|.*"
        assert re.search(row + re.escape(text), TRANSFERRED, re.MULTILINE), (method, mix, text)
