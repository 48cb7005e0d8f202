"""What ``ssl-mix train`` makes of pre-trained weights with the defaults, against the linear probe.

``python scripts/default_runs.py --root DIR --net WEIGHTS --labels 5 --splits 5 --runs DIR`` trains each
algorithm on each choice of labels from the images in ROOT/train, tests on ROOT/test, and writes a JSON line
for each to ``scripts/results/default_runs.jsonl``. Cells whose line is there are left out. An algorithm may
come with options: ``--algorithms fixmatch "fixmatch --mix dm-as"``.
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from measuring import append_line, circumstances, lines_of

from ssl_mix.cli.main import main as ssl_mix
from ssl_mix.runs.answered import evaluate
from ssl_mix.runs.folder import read_config, read_metrics
from ssl_mix.runs.trained import load_trained

OUT = Path(__file__).parent / "results" / "default_runs.jsonl"
KEYS = ("data", "algorithm", "labels_per_class", "split", "image_size")


def main(arguments: Sequence[str] | None = None) -> None:
    """Train what is missing, and write a line for each run."""
    asked = read(arguments)
    torch.set_num_threads(asked.threads)
    about = circumstances(torch.device("cpu")) | {"net": Path(asked.net).name}
    for cell in missing(asked):
        append_line(asked.out, cell | measured(asked, cell) | about)


def read(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--net", required=True, help="file of weights of EfficientNet-Lite0")
    parser.add_argument("--algorithms", nargs="+", default=["fine-tuning", "fixmatch"])
    parser.add_argument("--image-size", type=int, default=96)
    parser.add_argument("--labels", type=int, nargs="+", default=[5])
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--first-split", type=int, default=0, help="the defaults were chosen on others")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runs", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--out", type=Path, default=OUT)
    return parser.parse_args(arguments)


def missing(asked: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """What is asked for and has no line yet, one choice of labels after another."""
    known = {tuple(line[key] for key in KEYS) for line in lines_of(asked.out)}
    for split in range(asked.first_split, asked.first_split + asked.splits):
        for count in asked.labels:
            for algorithm in asked.algorithms:
                values = (asked.root.name, algorithm, count, split, asked.image_size)
                if values not in known:
                    yield dict(zip(KEYS, values, strict=True))


def measured(asked: argparse.Namespace, cell: dict[str, Any]) -> dict[str, Any]:
    """Train one cell with the defaults: its accuracies in the end and without training."""
    folder = asked.runs / "-".join(str(cell[key]).replace(" ", "") for key in KEYS)
    options = {
        "train": asked.root / "train",
        "test": asked.root / "test",
        "labels-per-class": cell["labels_per_class"],
        "split-seed": cell["split"],
        "net": "timm:tf_efficientnet_lite0",
        "pretrained": asked.net,
        "image-size": cell["image_size"],
        "threads": asked.threads,
        "out": folder,
    }
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    began = time.perf_counter()
    ssl_mix(["train", *cell["algorithm"].split(), "--overwrite", *words])
    last = read_metrics(folder)[-1]
    names = ("test_accuracy", "probe_accuracy", "start_accuracy")
    settings = {key: read_config(folder)["train"][key] for key in ("steps", "batch_size", "lr")}
    scores = {name: last[name] for name in names if name in last}
    return {**scores, **end_scores(folder), **settings, "seconds": time.perf_counter() - began}


def end_scores(folder: Path) -> dict[str, float]:
    """The accuracy of what training made alone, where the run keeps the middle between that and the start:
    ``end = (teacher - s start) / (1 - s)``."""
    trained = load_trained(folder, "cpu")
    share = trained.run.config.start_share
    if not share:
        return {}
    kept, start = trained.state["teacher"], trained.state["start"]
    end = {name: torch.lerp(start[name], kept[name], 1 / (1 - share)) for name in names_of_floats(kept)}
    trained.net.load_state_dict({**kept, **end})
    return {"end_accuracy": evaluate(trained).accuracy}


def names_of_floats(state: dict[str, torch.Tensor]) -> list[str]:
    """The names of what has no whole numbers."""
    return [name for name, value in state.items() if value.is_floating_point()]


if __name__ == "__main__":
    main()
