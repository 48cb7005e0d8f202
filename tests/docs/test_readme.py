"""What README.md shows works: its Python runs, its commands are known, its files exist."""

import re
from pathlib import Path
from typing import Any

import pytest
from documented import commands_of, python_of, unknown_flags

from ssl_mix import TrainConfig, Trainer
from ssl_mix.algorithms import ALGORITHMS
from ssl_mix.datasets import choose_split, load_digits_data
from ssl_mix.models import build_model

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
PYTHON = python_of(README)


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


@pytest.mark.parametrize("command", commands_of(README))
def test_commands_are_understood(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert unknown_flags(command, capsys) == []


def test_linked_files_exist() -> None:
    links = re.findall(r"\]\((?!http)([^)#]+)", README)
    assert len(links) > 4
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_tables_name_every_algorithm() -> None:
    assert [name for name in ALGORITHMS if f"| `{name}` |" not in README] == []


def test_required_packages_are_explained() -> None:
    required = re.search(r"install_requires =\n((?:    .*\n)+)", (ROOT / "setup.cfg").read_text())
    assert required is not None
    for line in required[1].split():
        assert re.search(rf"^\| .*\b{re.match(r'[a-z0-9-]+', line)[0]}\b", README, re.MULTILINE)  # type: ignore[index]
