"""What the run makes of mixed images: whether it finds both classes, and whether its features mix too."""

from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from ssl_mix.errors import UserError
from ssl_mix.evaluation import equivariance_error, mixed_answers
from ssl_mix.mixers import CutMix, Mixup
from ssl_mix.passes import backbone, is_backbone
from ssl_mix.suites.suite import Scene
from ssl_mix.suites.words import percent

KINDS = {"mixup": Mixup(), "cutmix": CutMix()}
SHARES = tuple(tenth / 10 for tenth in range(1, 10))
MEASURES = {
    "top1": "likeliest class is one of the two",
    "top2": "two likeliest classes are the two",
    "confidence": "largest probability",
    "equivariance_error": "equivariance error of the features",
}


def measure(scene: Scene) -> dict[str, Any]:
    """By mixer and share of the first image: means over pairs of two classes each."""
    first, second, labels_a, labels_b = _pairs(scene)
    measured = {
        kind: {share: _one(scene, (first, second), (labels_a, labels_b), kind, share) for share in SHARES}
        for kind in KINDS
    }
    return {
        "pairs": len(first),
        "shares": list(SHARES),
        "mixed": {
            kind: {
                name: [values[name] for values in by_share.values()] for name in next(iter(by_share.values()))
            }
            for kind, by_share in measured.items()
        },
    }


def _pairs(scene: Scene) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Positions of the two images of each pair, with their labels."""
    rows = scene.sample()
    draws = torch.Generator().manual_seed(scene.options.suite_seed)
    others = rows[torch.randperm(len(rows), generator=draws)]
    labels = scene.answered.labels
    kept = labels[rows] != labels[others]
    if not kept.any():
        raise UserError("mixed images need test images of two classes")
    first, second = rows[kept], others[kept]
    return first, second, labels[first], labels[second]


@torch.inference_mode()
def _one(
    scene: Scene, pairs: tuple[Tensor, Tensor], labels: tuple[Tensor, Tensor], kind: str, share: float
) -> dict[str, float]:
    """One mixer at one share; batch for batch, of which only logits and features are kept."""
    net, draws = scene.answered.trained.net, torch.Generator().manual_seed(scene.options.suite_seed)
    logits, found, done = [], [], 0
    for (one, _), (other, _) in zip(*(scene.batches(rows) for rows in pairs), strict=True):
        a, b = scene.normalized(one), scene.normalized(other)
        seen, lam = KINDS[kind].mix(a, b, lam=share, generator=draws)
        logits.append(scene.logits(seen).cpu())
        if is_backbone(net):
            features = (backbone(net).features(batch).float().cpu() for batch in (seen, a, b))
            found.append((*features, lam.cpu()))
        done += len(seen)
        scene.tell(f"mixing images ({kind}, {share})", done, len(pairs[0]))
    answers = mixed_answers(torch.cat(logits), *labels)
    numbers = {name: getattr(answers, name) for name in ("top1", "top2", "confidence")}
    if found:
        mixed, clean_a, clean_b, lams = (torch.cat(parts) for parts in zip(*found, strict=True))
        numbers["equivariance_error"] = equivariance_error(mixed, clean_a, clean_b, lams)
    return numbers


def rows(numbers: dict[str, Any]) -> list[tuple[str, str]]:
    """The middle in words, where the two images have equal shares."""
    middle, count = numbers["shares"].index(0.5), f"{numbers['pairs']} pairs of images"
    found = []
    for kind, measures in numbers["mixed"].items():
        for name, values in measures.items():
            value = values[middle]
            said = f"{value:.3f}" if name == "equivariance_error" else percent(value)
            found.append((f"{kind}, equal shares: {MEASURES[name]}", f"{said} of {count}"))
    return found


def draw(numbers: dict[str, Any]) -> Figure | None:
    """Each measure over the share of the first image."""
    known = [name for name in MEASURES if name in numbers["mixed"]["mixup"]]
    figure = Figure(figsize=(3.2 * len(known), 3), layout="constrained")
    for axes, name in zip(figure.subplots(1, len(known), squeeze=False)[0], known, strict=True):
        for kind, measures in numbers["mixed"].items():
            axes.plot(numbers["shares"], measures[name], label=kind, marker=".")
        axes.set_title(MEASURES[name], fontsize="small")
        axes.set_xlabel("share of the first image")
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
    figure.axes[0].legend(fontsize="x-small")
    figure.axes[0].set_ylabel(f"mean of {numbers['pairs']} pairs")
    return figure
