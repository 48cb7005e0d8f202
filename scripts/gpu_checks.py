"""One check of the GPU, by name; ``scripts/gpu_checks.sh`` runs them all.

    python scripts/gpu_checks.py PART --json FILE [--device cpu --steps 2 --batch-size 2]

Each part appends lines of JSON with its command, its seconds and the circumstances, also where it fails.

    hardware  what the machine is, and its two ceilings: copying and multiplying matrices
    tests     the tests marked "gpu"
    parity    twenty steps in float32 on the CPU and on the device: the same losses
    alike     fifty steps in float32 with the eager, the compiled and the captured network: the same losses
    step      the FixMatch step in bfloat16 and float32 against its network in a CUDA graph
    wide      the same with WRN-28-8
    compile, graphs, graphed, ahead   the same with other ways of running the network and the augmentation
    train     FixMatch with 250 labels of CIFAR-10 for as long as --seconds says
"""

import argparse
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from benchmarks.gpu_step import Way, make_trainer, measure_way
from measuring import append_line, circumstances, now

from ssl_mix import MixingTerms, TrainConfig, Trainer
from ssl_mix.algorithms import FixMatch
from ssl_mix.datasets import choose_split, load_folder
from ssl_mix.models import build_model

Lines = Iterator[dict[str, Any]]
GIB = 2**30
TOLERANCE = 1e-3
GPU_TESTS = [f"tests/{folder}" for folder in ("contract", "augment", "losses", "datasets", "engine")]


def hardware_part(options: argparse.Namespace) -> Lines:
    """Names, versions, and the ceilings."""
    device = torch.device(options.device)
    found: dict[str, Any] = {"python": sys.version.split()[0], "cuda": torch.version.cuda}
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        found |= {
            "memory_gib": properties.total_memory / GIB,
            "multiprocessors": properties.multi_processor_count,
            "cudnn": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
        }
    side, count = (8192, GIB) if device.type == "cuda" else (256, 2**20)
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in "ab")
    source = torch.randint(0, 255, (count,), dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    yield {
        **found,
        "matrix_tflops": 2 * side**3 / seconds_of(lambda: a @ b, device) / 1e12,
        "copy_gb_per_second": 2 * count / seconds_of(lambda: target.copy_(source), device) / 1e9,
    }


def seconds_of(function: Callable[[], object], device: torch.device, count: int = 10) -> float:
    """Mean seconds of a call, after three untimed ones."""
    for _ in range(3):
        function()
    began = now(device)
    for _ in range(count):
        function()
    return (now(device) - began) / count


def tests_part(options: argparse.Namespace) -> Lines:
    """Warnings are no errors here: the machine's libraries may be others than those of development."""
    words = [
        "-m",
        "gpu",
        "-q",
        "-rs",
        "-W",
        "default",
        "-p",
        "no:cacheprovider",
        "--continue-on-collection-errors",
    ]
    command = [sys.executable, "-m", "pytest", *words, "--durations=5", *options.tests]
    done = subprocess.run(command, capture_output=True, text=True)
    lines = done.stdout.splitlines()
    yield {
        "pytest": " ".join(command[1:]),
        "result": lines[-1] if lines else done.stderr[-2000:],
        "failed": [line for line in lines if line.startswith(("FAILED", "ERROR"))],
        "tail": lines[-60:] if done.returncode else lines[-12:],
        "ok": done.returncode == 0,
    }


def parity_part(options: argparse.Namespace) -> Lines:
    """FixMatch with every mixing term, in float32, TensorFloat-32 off.

    At a hundredth of the usual learning rate: with a tenth of it, two memory layouts on one CPU differ
    by 1e-3 after twenty steps, from rounding alone.
    """
    losses, views = [], []
    for device in (torch.device("cpu"), torch.device(options.device)):
        trainer = precise_trainer(options, device, "eager")
        seen = trainer.feed.augment(next(trainer.feed.batches(0)), 0)
        assert seen.unlabeled is not None
        views.append(seen.unlabeled.views["strong"].cpu())
        losses.append(losses_of(trainer, options.parity_steps))
    here, there = losses
    yield {
        "steps": len(here),
        "views_differ_by": (views[0] - views[1]).abs().max().item(),
        "losses_cpu": here,
        "losses_device": there,
        **difference(here, there),
    }


def alike_part(options: argparse.Namespace) -> Lines:
    """The same on the device alone, one line for each way of running the network but the first, which is the
    measure. On a CPU nothing can be captured."""
    device = torch.device(options.device)
    ways = ("compile", "graphed") if device.type == "cuda" else ("eager",)
    eager = losses_of(precise_trainer(options, device, "eager"), options.alike_steps)
    for way in ways:
        try:
            found = losses_of(precise_trainer(options, device, way), options.alike_steps)
            yield {"net": way, "steps": len(eager), "losses": found, **difference(eager, found)}
        except Exception:
            yield {"net": way, "ok": False, "error": traceback.format_exc()[-3000:]}


def precise_trainer(options: argparse.Namespace, device: torch.device, net: str) -> Trainer:
    """FixMatch with every mixing term, in float32."""
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    algorithm = FixMatch(threshold=0.0, mixing=MixingTerms(mix="dm-as", mix_ramp="none"))
    way = Way(amp="off", net=net)
    return make_trainer(algorithm, options.net, device, way, options.parity_batch, lr=0.0003)


def losses_of(trainer: Trainer, steps: int) -> list[float]:
    """The loss of each of the first steps."""
    batches, taken = trainer.feed.batches(0), []
    for _ in range(steps):
        trainer.train_step(next(batches))
        taken.append(trainer.record()["loss"])
    return taken


def difference(expected: list[float], found: list[float]) -> dict[str, Any]:
    """The largest one, as a share of what was expected."""
    worst = max(abs(a - b) / abs(b) for a, b in zip(found, expected, strict=True))
    return {"worst_relative_difference": worst, "ok": worst < TOLERANCE}


WAYS: dict[str, tuple[str, tuple[Way, ...]]] = {
    "step": ("wrn-28-2", (Way(), Way(amp="off"), Way(deterministic=False))),
    "ahead": ("wrn-28-2", (Way(ahead=True),)),
    "compile": ("wrn-28-2", (Way(net="compile"), Way(net="compile", ahead=True))),
    "graphs": ("wrn-28-2", (Way(net="reduce-overhead"), Way(net="reduce-overhead", ahead=True))),
    "graphed": (
        "wrn-28-2",
        (Way(net="graphed"), Way(net="graphed", ahead=True), Way(net="graphed", deterministic=False)),
    ),
    "wide": ("wrn-28-8", (Way(),)),
}


def ways_part(options: argparse.Namespace) -> Lines:
    """The ways of carrying out a step that belong to the part, one line each."""
    net, ways = WAYS[options.part]
    for way in ways:
        try:
            yield measure_way(
                FixMatch(),
                options.net if options.part != "wide" else net,
                torch.device(options.device),
                way,
                options.batch_size,
                options.steps,
                options.rounds,
            )
        except Exception:
            yield {**way._asdict(), "ok": False, "error": traceback.format_exc()[-3000:]}


def train_part(options: argparse.Namespace) -> Lines:
    """As many steps as fit into the seconds, by the speed of the first ones; one line per evaluation."""
    began = time.perf_counter()
    images: Path = options.images
    data = load_folder(images / "train", images / "test", image_size=32)
    decoded = time.perf_counter() - began
    split = choose_split(data.train.labels, len(data.classes), labels_total=250, seed=0, classes=data.classes)

    def make(steps: int) -> Trainer:
        config = TrainConfig(
            steps=steps,
            batch_size=options.batch_size,
            device=options.device,
            eval_every=max(1, steps // 10),
            compile=options.compile,
            deterministic=False,
        )
        torch.manual_seed(0)
        return Trainer(FixMatch(), build_model(options.net, len(data.classes)), data, split, config)

    trial, left = make(10**6), options.seconds - (time.perf_counter() - began)
    batches = trial.feed.batches(0)
    for _ in range(5):
        trial.train_step(next(batches))
    each = seconds_of(lambda: trial.train_step(next(batches)), trial.device, options.steps)
    steps = max(10, int(0.9 * left / each))
    for record in make(steps).fit():
        if "test_accuracy" in record:
            names = ("step", "seconds", "test_accuracy", "loss", "images_per_second", "bank_precision")
            yield {
                **{name: record[name] for name in names if name in record},
                "decode_seconds": decoded,
                "steps": steps,
                "labels": 250,
                "images": len(data.train.labels),
            }


PARTS: dict[str, Callable[[argparse.Namespace], Lines]] = {
    "hardware": hardware_part,
    "tests": tests_part,
    "parity": parity_part,
    "alike": alike_part,
    "train": train_part,
    **dict.fromkeys(WAYS, ways_part),
}


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--json", type=Path, required=True, help="file to append lines to")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--net", default="wrn-28-2")
    parser.add_argument("--batch-size", type=int, default=64, help="labeled images of a step")
    parser.add_argument("--steps", type=int, default=20, help="timed steps in a turn")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--parity-batch", type=int, default=8)
    parser.add_argument("--parity-steps", type=int, default=20)
    parser.add_argument("--alike-steps", type=int, default=50)
    parser.add_argument("--tests", nargs="*", default=GPU_TESTS, help="files or folders of tests")
    parser.add_argument("--images", type=Path, help="folder with train/CLASS and test/CLASS of CIFAR-10")
    parser.add_argument("--seconds", type=float, default=60, help="length of the training, reading included")
    parser.add_argument("--compile", action="store_true", help="compile the network of the training")
    return parser.parse_args()


def main() -> None:
    """Run one part; exit status 1 if it failed."""
    options = arguments()
    began, ok = time.perf_counter(), True
    around = circumstances(torch.device(options.device))

    def keep(line: dict[str, Any]) -> None:
        seconds = time.perf_counter() - began
        append_line(
            options.json, {"check": options.part, "ok": True, **line, "part_seconds": seconds, **around}
        )
        short = {name: value for name, value in line.items() if isinstance(value, (int, float, str, bool))}
        print(options.part, f"{seconds:.1f} s", short, flush=True)

    try:
        for line in PARTS[options.part](options):
            ok = ok and line.get("ok", True)
            keep(line)
    except Exception:
        ok = False
        keep({"ok": False, "error": traceback.format_exc()[-3000:]})
    sys.exit(not ok)


if __name__ == "__main__":
    main()
