"""How often the run is wrong on corrupted images."""

from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ssl_mix.evaluation import CORRUPTIONS, corrupt, corruption_errors
from ssl_mix.evaluation.corruption_error import ALEXNET_ERRORS
from ssl_mix.evaluation.corruptions import SEVERITIES
from ssl_mix.evaluation.corruptions.kinds import SMALL
from ssl_mix.suites.changed import Change, right_after, sample_words, sampled_rows
from ssl_mix.suites.figures import new_figure
from ssl_mix.suites.suite import Scene
from ssl_mix.suites.words import images, percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

IMAGENET = 1000  # classes of the benchmark whose errors AlexNet's are


def measure(scene: Scene) -> dict[str, Any]:
    """Errors by kind and severity, and their means."""
    side, (clean, errors) = min(scene.answered.trained.shape[1:]), _errors(scene)
    table = torch.tensor(list(errors.values()), dtype=torch.float64)
    means = corruption_errors(table)
    numbers: dict[str, Any] = {
        "images": len(sampled_rows(scene)),
        "of": len(scene.answered.labels),
        "made_with": "CIFAR-C" if side < SMALL else "ImageNet-C",
        "clean_error": clean,
        "errors": errors,
        "by_kind": dict(zip(errors, means.tolist(), strict=True)),
        "mean_corruption_error": float(means.mean()),
    }
    if len(scene.answered.classes) == IMAGENET and side >= SMALL:
        numbers["as_share_of_alexnet"] = float(corruption_errors(table, torch.tensor(ALEXNET_ERRORS)).mean())
    return numbers


def _errors(scene: Scene) -> tuple[float, dict[str, list[float]]]:
    """Of the images as they are, and by kind and severity."""
    changes: dict[tuple[str, int], Change] = {
        (kind, severity): partial(_corrupted, kind=kind, severity=severity)
        for kind in CORRUPTIONS
        for severity in SEVERITIES
    }
    right = right_after(scene, {("none", 0): lambda seen, _: seen, **changes}, "corrupting images")
    errors = {kind: [1 - right[kind, severity] for severity in SEVERITIES] for kind in CORRUPTIONS}
    return 1 - right["none", 0], errors


def _corrupted(seen: Tensor, draws: torch.Generator, *, kind: str, severity: int) -> Tensor:
    return corrupt(seen, kind, severity, draws)


def rows(numbers: dict[str, Any]) -> list[tuple[str, str]]:
    """Every number in words."""
    clean, mean = numbers["clean_error"], numbers["mean_corruption_error"]
    clean_words = sample_words(numbers["images"], numbers["of"])
    source = f"parameters of {numbers['made_with']}"
    kinds = f"mean corruption error (mCE), {len(numbers['errors'])} kinds at 5 severities"
    apart = f"{abs(100 * (mean - clean)):.1f} points {'above' if mean >= clean else 'below'} that"
    found = [
        ("error without corruption", f"{percent(clean)} of {clean_words}"),
        (kinds, f"{percent(mean)} of {images(numbers['images'])} each, {apart}; {source}"),
    ]
    if "as_share_of_alexnet" in numbers:
        found.append(("the same as a share of AlexNet's errors", percent(numbers["as_share_of_alexnet"])))
    for kind, errors in numbers["errors"].items():
        each = ", ".join(f"{100 * error:.1f}" for error in errors)
        found.append(
            (f"error, {kind.replace('_', ' ')}", f"{percent(numbers['by_kind'][kind])}; by severity {each} %")
        )
    return found


def draw(numbers: dict[str, Any]) -> "Figure | None":
    """Errors by kind and severity as a table of colors."""
    kinds = list(numbers["errors"])
    table = 100 * torch.tensor([[numbers["clean_error"], *numbers["errors"][kind]] for kind in kinds])
    figure = new_figure(6, 0.34 * len(kinds) + 1.2)
    axes = figure.add_subplot()
    shown = axes.imshow(
        table.numpy(), cmap="magma_r", vmin=0, vmax=100, aspect="auto", interpolation="nearest"
    )
    for row, values in enumerate(table.tolist()):
        for column, value in enumerate(values):
            color = "white" if value > 55 else "black"
            axes.text(column, row, f"{value:.0f}", ha="center", va="center", color=color, fontsize="small")
    axes.set_xticks(range(6), ["none", *map(str, SEVERITIES)])
    axes.set_yticks(range(len(kinds)), [kind.replace("_", " ") for kind in kinds])
    axes.set_xlabel("severity")
    axes.set_title(
        f"mean error {percent(numbers['mean_corruption_error'], 1)} of {images(numbers['images'])} each"
    )
    figure.colorbar(shown, ax=axes, label="error in %")
    return figure
