"""Speed of every loss, forward and backward, against ``F.cross_entropy`` with given soft targets.

    OMP_NUM_THREADS=1 python scripts/bench.py losses [--compile] [--json scripts/results/bench_losses.jsonl]

All of one size alternate in one process, and medians are compared. Among them is DM(CE) as it is published:
the competitor's column taken out of the logits with boolean indexing, and a log-softmax over what is left,
once per class. It needs one lam for the whole batch; its value must agree with the package's.
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from measuring import append_line, circumstances, measure
from torch import Tensor

from ssl_mix import losses
from ssl_mix.types import MixedTarget

SIZES = ((64, 10), (448, 10), (448, 100), (256, 1000), (4096, 1000))


class Inputs(NamedTuple):
    """One batch: logits, the pair of classes and its weight, the same as soft targets, and random weights for
    LUMix."""

    logits: Tensor
    target: MixedTarget
    soft: Tensor
    random_lam: Tensor


Loss = Callable[[Inputs], Tensor]


def make_inputs(samples: int, classes: int, device: torch.device) -> Inputs:
    """Random logits and classes; 0.3 as lam of the whole batch, as the published code requires."""
    draw = torch.Generator().manual_seed(0)
    labels_a, labels_b = torch.randint(classes, (2, samples), generator=draw)
    logits = torch.randn(samples, classes, generator=draw)
    target = MixedTarget(*(each.to(device) for each in (labels_a, labels_b, torch.full((samples,), 0.3))))
    random_lam = torch.rand(samples, generator=draw).to(device)
    return Inputs(logits.to(device).requires_grad_(), target, target.dense(classes), random_lam)


def published(logits: Tensor, soft: Tensor, eta: float = 0.1) -> Tensor:
    """DM(CE) the published way: per class, without the other's column, for rows with two classes and one
    lam."""
    loss = -(soft * F.log_softmax(logits, dim=1)).sum()
    present = soft > 1e-3
    counts = present.sum(dim=1)
    most = int(max(counts))
    pairs, labels = logits[counts == most], soft[counts == most]
    for lam in labels[0, labels[0] > 1e-3].cpu().numpy():
        own = labels == float(lam)
        kept = own | (labels <= 1e-3)
        width = labels.shape[1] - most + 1
        log_phi = F.log_softmax(pairs[kept].view(len(pairs), width), dim=1)
        loss = loss - eta * log_phi[own[kept].view(len(pairs), width)].sum()
    return loss / len(logits)


PEER = "published DM(CE)"
DECOUPLED = "decoupled_mixup_cross_entropy"
LOSSES: dict[str, Loss] = {
    "F.cross_entropy": lambda x: F.cross_entropy(x.logits, x.soft),
    DECOUPLED: lambda x: losses.decoupled_mixup_cross_entropy(x.logits, *x.target),
    "mixup_cross_entropy": lambda x: losses.mixup_cross_entropy(x.logits, *x.target),
    "decoupled_cross_entropy": lambda x: losses.decoupled_cross_entropy(x.logits, *x.target),
    "asymmetric_mixup_cross_entropy": lambda x: losses.asymmetric_mixup_cross_entropy(x.logits, *x.target),
    "multiway_decoupled_cross_entropy": lambda x: losses.multiway_decoupled_cross_entropy(
        x.logits, torch.stack(x.target[:2], 1), torch.stack((x.target.lam, 1 - x.target.lam), 1)
    ),
    "decoupled_mixup_bce": lambda x: losses.decoupled_mixup_bce(x.logits, *x.target),
    "lumix_cross_entropy": lambda x: losses.lumix_cross_entropy(x.logits, *x.target, random_lam=x.random_lam),
    "semantic_equivariance": lambda x: losses.semantic_equivariance(
        x.logits, x.soft, x.soft.flip(0), x.target.lam
    ),
    "DecoupledMixupLoss": lambda x: losses.DecoupledMixupLoss()(x.logits, x.target),
    "DecoupledMixupLoss (dense)": lambda x: losses.DecoupledMixupLoss()(x.logits, x.soft),
    "LUMixLoss (dense)": lambda x: losses.LUMixLoss()(x.logits, x.soft, x.random_lam),
}


def step(loss: Loss, inputs: Inputs) -> Callable[[], None]:
    """One forward and backward pass."""

    def run() -> None:
        inputs.logits.grad = None
        loss(inputs).backward()  # type: ignore[no-untyped-call]

    return run


def candidates(compiled: bool, only: list[str]) -> dict[str, Loss]:
    """The losses to time; the published one looks at values and cannot be compiled."""
    chosen = {name: loss for name, loss in LOSSES.items() if not only or name in (*only, "F.cross_entropy")}
    if compiled:
        torch.compiler.reset()
        return {name: torch.compile(loss, fullgraph=True, dynamic=False) for name, loss in chosen.items()}
    return {**chosen, PEER: lambda x: published(x.logits, x.soft)}


def measure_size(
    samples: int, classes: int, device: torch.device, options: argparse.Namespace
) -> dict[str, Any]:
    """Medians of all losses for logits (samples, classes), in microseconds and as multiples of
    cross-entropy."""
    inputs = make_inputs(samples, classes, device)
    torch.testing.assert_close(published(inputs.logits, inputs.soft), LOSSES[DECOUPLED](inputs))
    functions = candidates(options.compile, options.only)
    steps: dict[str, Callable[[], object]] = {name: step(loss, inputs) for name, loss in functions.items()}
    medians = measure(steps, options.rounds, device)
    bound = medians["F.cross_entropy"]
    print(f"({samples}, {classes}), {options.rounds} rounds")
    for name, seconds in medians.items():
        print(f"  {name:34}{1e6 * seconds:12.0f} us{seconds / bound:9.2f} x")
    return {
        "benchmark": "losses",
        "samples": samples,
        "classes": classes,
        "compile": options.compile,
        "threads": torch.get_num_threads(),
        "rounds": options.rounds,
        "microseconds": {name: round(1e6 * seconds, 1) for name, seconds in medians.items()},
        "times_cross_entropy": {name: round(seconds / bound, 3) for name, seconds in medians.items()},
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and append a line of JSON per size if asked to."""
    parser = argparse.ArgumentParser(
        "bench.py losses", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--compile", action="store_true", help="compile every loss, cross-entropy too")
    parser.add_argument("--only", nargs="*", default=[], choices=list(LOSSES), help="default: all losses")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--json", type=Path, help="file to append one line per size to")
    options = parser.parse_args(arguments)
    device = torch.device(options.device)
    for samples, classes in SIZES:
        result = {**measure_size(samples, classes, device, options), **circumstances(device)}
        if options.json:
            append_line(options.json, result)
