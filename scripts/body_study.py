"""What training the whole network brings over the linear probe, and each mixing term over its control.

``python scripts/body_study.py --root DIR --net WEIGHTS --runs DIR`` trains each method on five choices of
five labels a class from the images in ROOT/train, tests on ROOT/test, and writes a JSON line for each run to
``scripts/results/body_study.jsonl``; lines that are there are left out. All methods take the same steps; the
learning rate of each is the best of three on a choice of labels of its own ("phase": "tune").
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from default_runs import measured
from measuring import append_line, circumstances, lines_of

OUT = Path(__file__).parent / "results" / "body_study.jsonl"
LABELS, SPLITS, TUNED_ON = 5, range(5), 100
RATES = (0.00025, 0.001, 0.004)
STEPS = 50
METHODS = (
    "fine-tuning",
    "fine-tuning --mix mixup",
    "fine-tuning --mix dm",
    "fine-tuning --mix as",
    "fine-tuning --mix dm-as",
    "fixmatch --unlabeled-ratio 1",
    "fixmatch --unlabeled-ratio 1 --mix dm-as",
    "self-tuning",
    "fine-tuning --head-start random",
)
KEYS = ("phase", "data", "method", "lr", "split", "image_size")


def main(arguments: Sequence[str] | None = None) -> None:
    """Train what is missing, and write a line for each run."""
    asked = read(arguments)
    torch.set_num_threads(asked.threads)
    study = Study(asked)
    for split in SPLITS:
        for method in asked.methods:
            study.line("report", method, study.tuned(method), split, asked.image_size)


def read(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--net", required=True, help="file of weights of EfficientNet-Lite0")
    parser.add_argument("--methods", nargs="+", default=list(METHODS), help="an algorithm and its options")
    parser.add_argument("--image-size", type=int, default=96)
    parser.add_argument("--tuned-at", type=int, help="image size at which rates are tuned; this one")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runs", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--out", type=Path, default=OUT)
    return parser.parse_args(arguments)


class Study:
    """The lines that are known, and what measures the others.

    Args:
        asked: the command line.
    """

    def __init__(self, asked: argparse.Namespace) -> None:
        self.asked = asked
        self.lines = lines_of(asked.out)

    def tuned(self, method: str) -> float:
        """The learning rate of a method: the best one on a choice of labels that is not reported."""
        pixels = self.asked.tuned_at or self.asked.image_size
        found = {rate: self.line("tune", method, rate, TUNED_ON, pixels)["test_accuracy"] for rate in RATES}
        return max(RATES, key=lambda rate: found[rate])

    def line(self, phase: str, method: str, rate: float, split: int, pixels: int) -> dict[str, Any]:
        """One run, trained now if it has no line."""
        asked = self.asked
        values = (phase, asked.root.name, method, rate, split, pixels)
        what = dict(zip(KEYS, values, strict=True))
        for line in self.lines:
            if what.items() <= line.items():
                return line
        cell = {
            "data": asked.root.name,
            "algorithm": f"{method} --lr {rate} --steps {STEPS}",
            "labels_per_class": LABELS,
            "split": split,
            "image_size": pixels,
        }
        about = circumstances(torch.device("cpu")) | {"net": Path(asked.net).name}
        line = what | {"labels_per_class": LABELS} | measured(asked, cell) | about
        append_line(asked.out, line)
        self.lines.append(line)
        return line


if __name__ == "__main__":
    main()
