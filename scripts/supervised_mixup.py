"""Supervised training with and without mixing on real images: what each term is worth, against its own
control.

    python scripts/supervised_mixup.py --train cifar10/train --test cifar10/test \
        --json scripts/results/supervised_mixup.jsonl [--labels 1000] [--steps 3000] [--seeds 0 1 2] [--net
        small-cnn]

Methods: no mixing, Mixup, CutMix, and each of the two with DM(CE), with LUMix, with sem, and with ES (no
mixing in the last 20 %). Every method gets the same labeled images, initial weights, order and steps for a
seed. Runs that the file of results already holds are not repeated, so that the script can be stopped and
started again. On a GPU: ``--net preact-resnet-18 --labels 50000 --steps 11730 --batch-size 128 --lr 0.1`` is
30 epochs of CIFAR-10.
"""

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

from measuring import append_line, circumstances

from ssl_mix import TrainConfig
from ssl_mix.cli.terminal import keep_freed_memory
from ssl_mix.datasets import DataSet, load_folder
from ssl_mix.recipes.build import build_run
from ssl_mix.reports.summary import summarize
from ssl_mix.runs.data_options import DataOptions
from ssl_mix.runs.net_options import NetOptions
from ssl_mix.runs.run import Run

TERMS: dict[str, dict[str, Any]] = {
    "": {},
    " + DM(CE)": {"mix": "dm"},
    " + LUMix": {"label_policy": "lumix"},
    " + sem": {"regularizer": "sem"},
    " + ES": {"stop_mixing": 0.2},
}
METHODS: dict[str, dict[str, Any]] = {
    "none": {},
    **{
        name + term: {"mix": "mixup", "mixer": name, **options}
        for name in ("mixup", "cutmix")
        for term, options in TERMS.items()
    },
}


def train_once(method: str, seed: int, data: DataSet, options: argparse.Namespace) -> dict[str, Any]:
    """Train one method with one seed and return what came out, in per cent."""
    config = TrainConfig(
        steps=options.steps,
        batch_size=options.batch_size,
        lr=options.lr,
        weight_decay=options.weight_decay,
        seed=seed,
        amp=options.amp,
        threads=options.threads,
    )
    choice = DataOptions(train=options.train, test=options.test, labels=options.labels)
    algorithm = build_run("supervised", METHODS[method]).run.algorithm
    run = Run(algorithm, choice, NetOptions(net=options.net), config)
    trainer = run.trainer(data, choice.choose_split(data, seed))
    records = list(trainer.fit())
    summary = summarize(records)
    assert summary.last is not None and summary.median10 is not None
    return {
        "method": method,
        "seed": seed,
        "options": str(METHODS[method]),
        "last": 100 * summary.last,
        "median10": 100 * summary.median10,
        "train_loss": records[-1]["loss/labeled"],
        "seconds": round(summary.seconds),
    }


def settings(data: DataSet, options: argparse.Namespace) -> dict[str, Any]:
    """What must be equal for two runs to be compared."""
    names = ("net", "labels", "steps", "batch_size", "lr", "weight_decay", "amp")
    return {"data": data.fingerprint()[:16]} | {name: getattr(options, name) for name in names}


def read_results(file: Path, wanted: dict[str, Any]) -> list[dict[str, Any]]:
    """The lines of a file of results that have these settings, for methods as they are defined here."""
    lines = file.read_text().splitlines() if file.exists() else []
    found = [json.loads(line) for line in lines]
    return [
        line
        for line in found
        if line["settings"] == wanted and line["options"] == str(METHODS.get(line["method"]))
    ]


def print_table(results: list[dict[str, Any]]) -> None:
    """Mean and deviation over the seeds for each method."""
    print(f"{'method':18}{'seeds':>6}{'last %':>16}{'median of 10 %':>18}{'seconds':>9}")
    for method in METHODS:
        lines = [line for line in results if line["method"] == method]
        if not lines:
            continue
        cells = []
        for name in ("last", "median10"):
            values = [line[name] for line in lines]
            deviation = statistics.stdev(values) if len(values) > 1 else float("nan")
            cells.append(f"{statistics.mean(values):.2f} +- {deviation:.2f}")
        seconds = statistics.mean(line["seconds"] for line in lines)
        print(f"{method:18}{len(lines):6}{cells[0]:>16}{cells[1]:>18}{seconds:9.0f}")


def main() -> None:
    """Train what is missing, then print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--train", required=True, help="folder with one sub-folder of images per class")
    parser.add_argument("--test", required=True)
    parser.add_argument("--json", type=Path, required=True, help="file of results, added to")
    parser.add_argument("--labels", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--lr", type=float, default=0.05)
    parser.add_argument("--weight-decay", type=float, default=5e-4)
    parser.add_argument("--net", default="small-cnn")
    parser.add_argument("--amp", default="auto", choices=("auto", "bf16", "off"))
    parser.add_argument("--threads", type=int)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    options = parser.parse_args()

    keep_freed_memory()
    data = load_folder(Path(options.train), Path(options.test), image_size=32)
    wanted = settings(data, options)
    done = {(line["method"], line["seed"]) for line in read_results(options.json, wanted)}
    for seed in options.seeds:
        for method in options.methods:
            if (method, seed) in done:
                continue
            result = train_once(method, seed, data, options)
            print(f"{method:18} seed {seed}: {result['last']:.2f} % in {result['seconds']} s", flush=True)
            append_line(options.json, {**result, "settings": wanted, **circumstances()})
    print_table(read_results(options.json, wanted))


if __name__ == "__main__":
    main()
