"""Training in bfloat16 on a CPU: what it saves by the network, and whether it costs accuracy.

    python scripts/bench.py precision [--json scripts/results/bench_precision.jsonl]

Speed: the trial with which a run on a CPU chooses its precision (``ssl_mix.engine.precision``), forward and
backward pass of 16 images of noise in turns, seconds of the processor. Accuracy: FixMatch on digits with few
labels, ``small-cnn``, in both precisions with the same labels, initial weights and draws for each seed.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from measuring import append_line, circumstances

from benchmarks.paired import paired
from benchmarks.weak_pass import make_trainer
from ssl_mix import TrainConfig
from ssl_mix.cli.terminal import keep_freed_memory
from ssl_mix.datasets.digits import load_digits_data
from ssl_mix.engine.precision import IMAGES, measured
from ssl_mix.models import build_model

NETS = (
    *("wrn-28-2", "preact-resnet-18", "timm:resnet18@96"),
    *("timm:vit_tiny_patch16_224@224", "timm:convnext_atto@96", "lite0@96"),
)
WAYS = ("off", "bf16")


def speed(named: str) -> dict[str, Any]:
    """Seconds of a network, NAME or NAME@SIDE, in both precisions."""
    name, _, side = named.partition("@")
    size = int(side or 32)
    net = build_model(name, 10, image_size=size)
    found = measured(TrainConfig(threads=1), net, (IMAGES, 3, size, size))
    print(
        f"{name:34}{1000 * found.exact:9.1f} ms{1000 * found.halved:9.1f} ms{found.gain:7.2f} x", flush=True
    )
    return {"net": name, "image_size": size, "images": IMAGES, **found._asdict(), "gain": found.gain}


def accuracies(options: argparse.Namespace) -> dict[str, Any]:
    """Of the teacher on the test digits after the last step, in per cent, for every seed."""

    def measure_one(amp: str, seed: int) -> float:
        config = {"steps": options.steps, "batch_size": 16, "lr": 0.1, "eval_every": options.steps}
        config |= {"device": "cpu", "amp": amp}
        trainer = make_trainer("together", load_digits_data(), "small-cnn", options.labels, config, seed)
        return 100 * list(trainer.fit())[-1]["test_accuracy"]

    told = {"labels": options.labels, "steps": options.steps}
    return {**told, **paired(WAYS, options.seeds, measure_one)}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and append lines of JSON if asked to."""
    parser = argparse.ArgumentParser(
        "bench.py precision", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nets", nargs="*", default=list(NETS), help="NAME or NAME@SIDE")
    parser.add_argument("--seeds", type=int, default=5, help="0 leaves the accuracy out")
    parser.add_argument("--labels", type=int, default=40)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--json", type=Path, help="file to append lines to")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    keep_freed_memory()
    lines = [speed(net) for net in options.nets]
    lines += [accuracies(options)] if options.seeds else []
    for line in lines:
        if options.json:
            append_line(
                options.json, {"benchmark": "precision", **line, **circumstances(torch.device("cpu"))}
            )


if __name__ == "__main__":
    main()
