"""Whether the run is right as often as it is sure, before and after its logits are divided by a
temperature."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ssl_mix.errors import UserError
from ssl_mix.evaluation import (
    Temperature,
    aurra,
    brier_score,
    expected_calibration_error,
    fit_temperature,
    predict_logits,
    reliability,
    rms_calibration_error,
)
from ssl_mix.runs.learned import read_learned, split_of
from ssl_mix.runs.temperature import keep_temperature
from ssl_mix.suites.figures import new_figure
from ssl_mix.suites.suite import Scene
from ssl_mix.suites.words import images, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BINS = 15
MEASURES: dict[str, tuple[str, Callable[[float], str]]] = {
    "ece": (f"expected calibration error, {BINS} bins of equal width", percent),
    "ece_mass": (f"expected calibration error, {BINS} bins of equal mass", percent),
    "rms": (f"RMS calibration error, {BINS} bins of equal mass", percent),
    "aurra": ("AURRA", percent),
    "brier": ("Brier score, 0 to 2", "{:.4f}".format),
    "nll": ("negative log-likelihood", "{:.4f} nats".format),
}


class Fitting(NamedTuple):
    """What a temperature is fitted to, and the rows of the test part that its outcome is measured on."""

    logits: Tensor
    labels: Tensor
    images: str
    rows: Tensor


def measure(scene: Scene) -> dict[str, Any]:
    """Calibration of all test images, and before and after scaling of those that the temperature has not
    seen. The temperature is kept in the run's ``calibration.json``."""
    answered = scene.answered
    numbers, fitted = calibration_of(answered.logits, answered.labels, _fitting(scene))
    if answered.crops == "center" and answered.columns is None:  # what predictions are made of
        trained = answered.trained
        keep_temperature(trained.folder, fitted, trained.step, numbers["fitted_on"])
    return numbers


def calibration_of(logits: Tensor, labels: Tensor, fitting: Fitting) -> tuple[dict[str, Any], Temperature]:
    """Calibration of all (N, C), and of the rows to be scaled before and after; with the temperature."""
    fitted = fit_temperature(fitting.logits, fitting.labels)
    rest = logits[fitting.rows].double(), labels[fitting.rows]
    before, after = (_measures(rest[0] / by, rest[1]) for by in (1.0, fitted.value))
    numbers = {"images": len(labels), **_measures(logits, labels)}
    numbers |= {"temperature": fitted.value, "fitted_on": fitting.images, "note": fitted.note}
    return numbers | {"scaled_images": len(fitting.rows), "before": before, "after": after}, fitted


def _measures(logits: Tensor, labels: Tensor) -> dict[str, Any]:
    """In float64: in float32 all sure images would have one confidence, and no order."""
    exact = logits.double()
    probs = exact.softmax(dim=1)
    shown = reliability(probs, labels, bins=BINS)
    return {
        "ece": expected_calibration_error(probs, labels, bins=BINS),
        "ece_mass": expected_calibration_error(probs, labels, bins=BINS, binning="mass"),
        "rms": rms_calibration_error(probs, labels, bins=BINS),
        "aurra": aurra(probs, labels),
        "brier": brier_score(probs, labels),
        "nll": float(cross_entropy(exact, labels)),
        "bins": {name: getattr(shown, name).tolist() for name in shown._fields},
    }


def _fitting(scene: Scene) -> Fitting:
    """The part that --validation held out, and all test images; without one, or for ten crops, two halves of
    the test part."""
    answered = scene.answered
    trained, everything = answered.trained, torch.arange(len(answered.labels))
    held_out = torch.tensor(split_of(trained.folder).validation, dtype=torch.int64)
    if len(held_out) and answered.crops == "center":
        data = read_learned(trained.run, trained.folder, data_dir=answered.data_dir, progress=scene.progress)
        logits = predict_logits(
            trained.net, data.train.images, trained.augmentation, trained.device, indices=held_out
        )
        kept, labels = _of_columns(answered.columns, data.train.labels[held_out])
        words = f"the {images(len(kept))} that --validation held out"
        return Fitting(answered.of_columns(logits)[kept], labels, words, everything)
    return two_halves(answered.logits, answered.labels, scene.options.suite_seed)


def two_halves(logits: Tensor, labels: Tensor, seed: int) -> Fitting:
    """One half of images to fit a temperature to, drawn by the seed, and the other to measure it on."""
    count = len(labels)
    if count < 2:
        raise UserError("a temperature is fitted to one half of the test images, and there is only one image")
    order = torch.randperm(count, generator=torch.Generator().manual_seed(int(seed)))
    fit, rest = order[: count // 2].sort().values, order[count // 2 :].sort().values
    return Fitting(logits[fit], labels[fit], f"{images(len(fit))} drawn from the test part", rest)


def _of_columns(columns: Tensor | None, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Rows whose label is one of the classes, and its position among them."""
    if columns is None:
        return torch.arange(len(labels)), labels
    kept = torch.isin(labels, columns).nonzero()[:, 0]
    return kept, torch.searchsorted(columns, labels[kept])


def rows(numbers: dict[str, Any]) -> list[tuple[str, str]]:
    """Every number in words."""
    count, scaled = numbers["images"], numbers["scaled_images"]
    found = []
    for name, (what, form) in MEASURES.items():
        own, before, after = (form(part[name]) for part in _parts(numbers))
        change = f"{after} after scaling"
        if scaled < count:
            change = f"{before} before and {change}, of the other {images(scaled)}"
        found.append((what, f"{own} of {images(count)}; {change}"))
    found.append(("temperature", f"{numbers['temperature']:.3f}, fitted to {numbers['fitted_on']}"))
    return [*found, ("no temperature is best", numbers["note"])] if numbers["note"] else found


def _parts(numbers: dict[str, Any]) -> tuple[dict[str, Any], ...]:
    return numbers, numbers["before"], numbers["after"]


def draw(numbers: dict[str, Any]) -> "Figure | None":
    """Reliability diagrams before and after scaling."""
    figure = new_figure(8.4, 4.4)
    upper, lower = figure.subplots(2, 2, sharex=True, sharey="row", height_ratios=(4, 1))
    titles = "as it is", f"divided by {numbers['temperature']:.2f}"
    for place, (part, title) in enumerate(zip(_parts(numbers)[1:], titles, strict=True)):
        _diagram(upper[place], lower[place], part["bins"])
        upper[place].set_title(f"{title}: ECE {percent(part['ece'])} of {images(numbers['scaled_images'])}")
    upper[0].set_ylabel("accuracy")
    lower[0].set_ylabel("images")
    return figure


def _diagram(upper: "Axes", lower: "Axes", bins: dict[str, list[float]]) -> None:
    sure, right = torch.tensor(bins["confidence"]), torch.tensor(bins["accuracy"])
    held = torch.tensor(bins["images"])
    places = ((sure * BINS).ceil().clamp(min=1) - 0.5) / BINS
    shape: dict[str, Any] = {"width": 1 / BINS, "edgecolor": "white"}
    upper.bar(places.tolist(), right.tolist(), label="accuracy", **shape)
    gap: dict[str, Any] = {"facecolor": "none", "edgecolor": "tab:red", "hatch": "//", "width": 1 / BINS}
    upper.bar(
        places.tolist(), (sure - right).tolist(), bottom=right.tolist(), label="gap to confidence", **gap
    )
    upper.plot((0, 1), (0, 1), color="gray", linestyle="--", linewidth=1)
    upper.set_xlim(0, 1)
    upper.set_ylim(0, 1)
    upper.legend(fontsize="small", loc="upper left")
    lower.bar(places.tolist(), (held / held.sum()).tolist(), color="gray", **shape)
    lower.set_xlabel("confidence")
