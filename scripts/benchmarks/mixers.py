"""Speed of every mixer against torchvision, timm, kornia and one ``torch.lerp``.

    python scripts/bench.py mixers [--sizes 32 224] [--rounds 15] [--only cutmix timm] [--json
    scripts/results/bench_mixers.jsonl]

128 images of 32 x 32 and 64 of 224 x 224, float32. All of one size take turns in one process, each a turn of
10 ms or one call, and medians are compared. Each line mixes a batch with itself and makes its target. Ours
have their defaults: partners by a random permutation, lam and boxes per image, a CPU generator. The floor is
one ``torch.lerp`` of the batch with its permuted copy, both ready, into memory that is there already; "lerp,
new memory" gathers the copy and allocates both. timm writes into the batch it is given.

Network: small-cnn at 32 pixels, ResNet-18 at 224. The call of a mixer that asks it includes the pass;
"network, forward" is that pass alone. Manifold mixup's pass is the one that training needs anyway. Where a
mixer computes saliency, the first line gets it given and the second computes it. A lesson of a learned mixer
includes its backward pass.
"""

import argparse
import importlib
import importlib.metadata
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from measuring import append_line, circumstances, measure
from torch import Tensor, nn
from torchvision.models import resnet18
from torchvision.transforms import v2

from ssl_mix.mixers import MIXERS, Mixer, build_mixer
from ssl_mix.models import build_model
from ssl_mix.types import MixedTarget

CLASSES = 100
BATCH = {32: 128, 224: 64}
QUIET = 1.5  # load above which a number is not to be trusted
TURN = 0.01  # seconds
FLOOR, NEW_MEMORY = "floor: lerp", "lerp, new memory"
ABSENT = "absent"  # in the place of a version

Works = dict[str, Callable[[], object]]


class Inputs(NamedTuple):
    """One batch (N, 3, side, side) with its labels (N,), and the network that some mixers ask."""

    images: Tensor
    labels: Tensor
    net: nn.Module
    net_name: str


def make_inputs(side: int, device: torch.device) -> Inputs:
    """Random images and classes: timing does not depend on what they show."""
    draw = torch.Generator().manual_seed(0)
    images = torch.randn(BATCH[side], 3, side, side, generator=draw).to(device)
    labels = torch.randint(CLASSES, (BATCH[side],), generator=draw).to(device)
    if side <= 64:
        return Inputs(images, labels, build_model("small-cnn", CLASSES).to(device), "small-cnn")
    net = resnet18(num_classes=CLASSES).to(device)
    net.hidden_layers = ("layer1", "layer2", "layer3", "layer4")
    return Inputs(images, labels, net, "resnet18")


def yardsticks(inputs: Inputs) -> Works:
    """The floor, the same with everything a mixer has to allocate, and one pass through the network."""
    images = inputs.images
    permuted, result = images[torch.randperm(len(images))], torch.empty_like(images)

    def new_memory() -> Tensor:
        partner = torch.randperm(len(images), device=images.device)
        return torch.lerp(images, images.index_select(0, partner), 0.3)

    return {
        FLOOR: lambda: torch.lerp(images, permuted, 0.3, out=result),
        NEW_MEMORY: new_memory,
        "network, forward": lambda: inputs.net(images),
    }


def torchvision_works(inputs: Inputs) -> Works:
    """One lam, and one box, per batch."""
    mixup = v2.MixUp(alpha=1.0, num_classes=CLASSES)
    cutmix = v2.CutMix(alpha=1.0, num_classes=CLASSES)
    return {
        "torchvision mixup": lambda: mixup(inputs.images, inputs.labels),
        "torchvision cutmix": lambda: cutmix(inputs.images, inputs.labels),
    }


def timm_works(inputs: Inputs) -> Works:
    """One lam and box per batch ("batch") or per image ("elem")."""
    timm_mixup = importlib.import_module("timm.data").Mixup
    works: Works = {}
    own = inputs.images.clone()
    for kind in ("mixup", "cutmix"):
        for mode in ("batch", "elem"):
            alphas = {"mixup_alpha": float(kind == "mixup"), "cutmix_alpha": float(kind == "cutmix")}
            mixer = timm_mixup(**alphas, mode=mode, label_smoothing=0.0, num_classes=CLASSES)
            works[f"timm {kind} {mode}"] = lambda mixer=mixer: mixer(own, inputs.labels)  # type: ignore[misc]
    return works


def kornia_works(inputs: Inputs) -> Works:
    """One lam, and one box, per image."""
    kornia = importlib.import_module("kornia.augmentation")
    mixup = kornia.RandomMixUpV2(p=1.0, data_keys=["input", "class"])
    cutmix = kornia.RandomCutMixV2(p=1.0, data_keys=["input", "class"], use_correct_lambda=True)
    return {
        "kornia mixup": lambda: mixup(inputs.images, inputs.labels),
        "kornia cutmix": lambda: cutmix(inputs.images, inputs.labels),
    }


# They ask vision transformers, which the networks here are not.
TRANSFORMERS = {"tokenmixup"}
PEERS = {"torchvision": torchvision_works, "timm": timm_works, "kornia": kornia_works}


def hidden_work(mixer: Mixer, inputs: Inputs, generator: torch.Generator) -> object:
    """A forward pass in which a hidden layer is mixed."""
    images, labels, net, _ = inputs
    with mixer.applied(net, images, labels, generator=generator) as mixed:
        return net(mixed.images), mixed.target


def given_work(mixer: Mixer, inputs: Inputs, saliency: Tensor, generator: torch.Generator) -> object:
    """Mixing a batch with itself, its saliency being known."""
    images, labels, net, _ = inputs
    partner = torch.randperm(len(images), generator=generator).to(images.device, non_blocking=True)
    both = {"saliency_a": saliency, "saliency_b": saliency.index_select(0, partner)}
    other = images.index_select(0, partner)
    mixed, lam = mixer.mix(images, other, generator=generator, net=net, **both)
    return mixed, MixedTarget(labels, labels.index_select(0, partner), lam)


def lesson_work(mixer: Mixer, inputs: Inputs, generator: torch.Generator) -> None:
    """Mixing with the lesson of a learned mixer, and the backward pass of the lesson."""
    images, labels, net, _ = inputs
    loss = mixer.mix_batch(images, labels, net=net, generator=generator).loss
    assert loss is not None
    loss.backward()  # type: ignore[no-untyped-call]


def our_works(name: str, inputs: Inputs) -> Works:
    """The lines of one mixer: with saliency given, with all it computes, with its lesson."""
    images, labels, net, net_name = inputs
    mixer, generator = build_mixer(name), torch.Generator().manual_seed(0)
    mixer.prepare(net, (3, images.shape[2], images.shape[3]))
    if mixer.hidden:
        return {f"{name} (in {net_name})": lambda: hidden_work(mixer, inputs, generator)}
    saliency = mixer.saliency(images, labels, net)
    if saliency is not None:
        source = net_name if "net" in mixer.needs else "no network"
        return {
            name: lambda: given_work(mixer, inputs, saliency, generator),
            f"{name} + saliency ({source})": lambda: mixer(images, labels, net=net, generator=generator),
        }
    label = f"{name} ({net_name})" if "net" in mixer.needs else name
    works: Works = {label: lambda: mixer(images, labels, net=net, generator=generator)}
    if isinstance(mixer, nn.Module):
        works[f"{label} + lesson"] = lambda: lesson_work(mixer, inputs, generator)
    return works


def all_works(inputs: Inputs, only: list[str] | None) -> Works:
    """Everything to be timed, the yardsticks first; peers that are not installed are left out."""

    def wanted(name: str) -> bool:
        return not only or any(part in name for part in only)

    works = yardsticks(inputs)
    installed = versions()
    for peer, make in PEERS.items():
        if wanted(peer) and installed[peer] != ABSENT:
            works |= make(inputs)
    for name in filter(wanted, [name for name in MIXERS if name not in TRANSFORMERS]):
        works |= our_works(name, inputs)
    return works


def calls_per_turn(work: Callable[[], object], device: torch.device) -> int:
    """How many calls fill a turn: the cost of a short call shows only when it is warm."""
    taken = measure({"call": work}, 1, device)["call"]
    return max(1, int(TURN / taken))


def measure_calls(works: Works, rounds: int, device: torch.device) -> dict[str, float]:
    """Median seconds of one call of each."""
    counts = {name: calls_per_turn(work, device) for name, work in works.items()}

    def turn(name: str) -> None:
        for _ in range(counts[name]):
            works[name]()

    turns: Works = {name: partial(turn, name) for name in works}
    return {name: taken / counts[name] for name, taken in measure(turns, rounds, device).items()}


def versions() -> dict[str, str]:
    """Versions of the peers that are installed, and ``ABSENT``."""
    found = {}
    for name in PEERS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = ABSENT
    return found


def compare(seconds: dict[str, float], count: int) -> dict[str, dict[str, float]]:
    """Images per second, time as multiple of both lerps, and speed as multiple of timm's modes, by line.

    Lines with "mixup" in the name are held against timm's mixup, all others against its cutmix.
    """
    table: dict[str, dict[str, float]] = {}
    for name, taken in seconds.items():
        row = {
            "images_per_second": count / taken,
            "over_floor": taken / seconds[FLOOR],
            "over_new_memory": taken / seconds[NEW_MEMORY],
        }
        kind = "mixup" if "mixup" in name else "cutmix"
        for mode in ("batch", "elem"):
            if f"timm {kind} {mode}" in seconds:
                row[f"times_timm_{mode}"] = seconds[f"timm {kind} {mode}"] / taken
        table[name] = row
    return table


def show(title: str, table: dict[str, dict[str, float]]) -> None:
    """Print a table."""
    print(f"\n{title}")
    print(f"{'':34}{'images/s':>12}{'/ floor':>9}{'/ lerp':>9}{'x batch':>9}{'x elem':>9}")
    for name, row in table.items():
        rate, *ratios = row.values()
        print(f"{name:34}{rate:12,.0f}" + "".join(f"{ratio:9.2f}" for ratio in ratios))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        "bench.py mixers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=list(BATCH), choices=list(BATCH))
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--device", default="auto")
    parser.add_argument(
        "--only", nargs="+", metavar="PART", help="mixers and peers whose name has one of these parts"
    )
    parser.add_argument("--json", type=Path, help="file to append one line per size to")
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and append lines of JSON if asked to."""
    options = parser().parse_args(arguments)
    load = os.getloadavg()[0]  # before this benchmark adds its own
    found = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(found if options.device == "auto" else options.device)
    where: dict[str, Any] = {**circumstances(device), "load": load, "load_above_1.5": load > QUIET}
    peers = versions()
    print(
        f"{where['hardware']}; torch {where['torch']}, "
        + ", ".join(f"{peer} {version}" for peer, version in peers.items())
        + f"; allocator {where['allocator']}; commit {where['commit']}; load {load:.1f}"
        + (": not quiet, do not keep these numbers" if load > QUIET else "")
    )
    for side in options.sizes:
        inputs = make_inputs(side, device)
        seconds = measure_calls(all_works(inputs, options.only), options.rounds, device)
        table = compare(seconds, len(inputs.images))
        show(f"{len(inputs.images)} x 3 x {side} x {side}, medians of {options.rounds} rounds", table)
        if options.json:
            shape = {"size": list(inputs.images.shape), "network": inputs.net_name, "rounds": options.rounds}
            append_line(
                options.json, {"benchmark": "mixers", **shape, **where, "peers": peers, "rows": table}
            )
