"""The examples of other people's loops run without a warning, learn, and are as short as they look."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "docs" / "examples"
EXAMPLES = sorted(path.name for path in FOLDER.glob("*.py"))
PACKAGES = {"lightning_module.py": "lightning", "timm_task.py": "timm"}
# Lightning trips over a deprecation of torch, and advises how many workers the machine could feed.
ALLOWED = {
    "lightning_module.py": (
        "ignore:`isinstance(treespec:FutureWarning",
        "ignore:The 'train_dataloader' does not have many workers:UserWarning",
        "ignore:The 'test_dataloader' does not have many workers:UserWarning",
    ),
}


def output_of(name: str) -> str:
    """What an example prints, run by itself on one thread with warnings as errors."""
    package = PACKAGES.get(name)
    if package and importlib.util.find_spec(package) is None:
        pytest.skip(f"the optional package {package} is not installed")
    filters = [part for each in ALLOWED.get(name, ()) for part in ("-W", each)]
    done = subprocess.run(
        [sys.executable, "-W", "error", *filters, FOLDER / name],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def printed(name: str, output: str) -> list[float]:
    """The numbers that follow ``name`` in the output."""
    return [float(number) for number in re.findall(rf"{name} ([\d.]+)", output)]


@pytest.mark.slow
@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_learn_the_digits(name: str) -> None:
    """Ten classes: chance is 0.1."""
    output = output_of(name)
    accuracies = printed("accuracy", output)
    assert accuracies and min(accuracies) > 0.7, output
    if name == "timm_task.py":
        assert len(accuracies) == 2 and "DecoupledMixupLoss" in output and "LUMixLoss" in output
    if name == "semantic_equivariance.py":
        without, with_term = printed("mixture by", output)
        assert with_term < 0.75 * without


def test_there_are_examples_and_they_are_short() -> None:
    assert len(EXAMPLES) >= 6
    assert [name for name in EXAMPLES if len((FOLDER / name).read_text().splitlines()) > 40] == []
