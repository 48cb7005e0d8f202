"""What the suites of ``ssl-mix evaluate`` say of a small network on CIFAR-10, for the pages about them.

    python scripts/evaluate_example.py --root cifar10 --unknown cifar100/test --run runs/example

trains it by the command that is in each line, measures it by every suite that applies, writes a JSON line for
each to ``scripts/results/evaluate_example.jsonl`` in place of those there, and leaves the pictures in the
run's folder. ROOT holds the folders train and test.
"""

import argparse
import json
import shlex
from collections.abc import Sequence
from pathlib import Path

import torch
from measuring import circumstances

from ssl_mix.cli.main import main as ssl_mix
from ssl_mix.suites.results import read_results

OUT = Path(__file__).parent / "results" / "evaluate_example.jsonl"
SUITES = ("accuracy", "calibration", "ood", "corruption", "occlusion", "mixed")
OPTIONS = "--validation 0.05 --net small-cnn --steps 1500 --batch-size 64 --seed 0"


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, measure, and write the lines."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--unknown", type=Path, required=True, help="images of no class")
    parser.add_argument("--run", type=Path, required=True, help="folder of the run")
    parser.add_argument("--out", type=Path, default=OUT)
    asked = parser.parse_args(arguments)
    data = ["--train", str(asked.root / "train"), "--test", str(asked.root / "test")]
    ssl_mix(["train", "supervised", *data, *shlex.split(OPTIONS), "--overwrite", "--out", str(asked.run)])
    ssl_mix(["evaluate", str(asked.run), "--suite", ",".join(SUITES), "--ood", str(asked.unknown)])
    about = circumstances(torch.device("cpu")) | {
        "command": "python scripts/evaluate_example.py",
        "trained_by": f"ssl-mix train supervised --train cifar10/train --test cifar10/test {OPTIONS}",
    }
    measured = read_results(asked.run)
    lines = [{"suite": name, "numbers": measured[name], **about} for name in SUITES]
    asked.out.write_text("".join(json.dumps(line) + "\n" for line in lines))


if __name__ == "__main__":
    main()
