"""Whether the run knows images of no class when it sees them."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ssl_mix.datasets import DATASETS, ImageSource
from ssl_mix.datasets.ahead import FilesAhead
from ssl_mix.datasets.listing import find_copies
from ssl_mix.datasets.packed import Paths
from ssl_mix.datasets.read_images import read_images
from ssl_mix.errors import UserError, counts_of, verb_for
from ssl_mix.evaluation import energy, max_logit, max_softmax, ood_metrics, predict_logits
from ssl_mix.runs.predicting import answer_files, find_images
from ssl_mix.suites.figures import new_figure
from ssl_mix.suites.suite import Scene
from ssl_mix.suites.words import images, percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SCORES = {
    "max_softmax": ("largest probability", max_softmax),
    "max_logit": ("largest logit", max_logit),
    "energy": ("energy", energy),
}
METRICS = {"auroc": "AUROC", "aupr_in": "AUPR in", "aupr_out": "AUPR out", "fpr95": "FPR95"}
BARS, BATCH = 40, 500


def measure(scene: Scene) -> dict[str, Any]:
    """Four metrics of each of three scores, of the test part against images of no class."""
    named = scene.options.ood
    if named is None:
        raise UserError(
            "name images that are of no class of the run with `ood=DIR`, or a data set whose test part they "
            "are with `ood=NAME`"
        )
    logits, notes = _logits(scene, named)
    inside, outside = scene.answered.logits, scene.answered.of_columns(logits)
    scores = {name: (score(inside), score(outside)) for name, (_, score) in SCORES.items()}
    return {
        "ood": named,
        "images": len(inside),
        "ood_images": len(outside),
        "scores": {name: ood_metrics(*pair) for name, pair in scores.items()},
        "histograms": {name: _histograms(*pair) for name, pair in scores.items()},
        "notes": notes,
    }


def _logits(scene: Scene, named: str) -> tuple[Tensor, list[str]]:
    """Of the images that are named, with what must be told of them."""
    trained = scene.answered.trained
    if named not in DATASETS or named == "folder":
        _refuse_test_images(scene, named)
        found = answer_files(trained, [Path(named)], progress=scene.progress)
        if not len(found.logits):
            raise UserError(f"none of the images in {named} can be read: {found.broken[0][1]}")
        broken = [f"left out {file}: {why}" for file, why in found.broken]
        return found.logits, [*found.notes, *broken]
    if named == trained.run.data.source:
        raise UserError(f"`ood={named}` is what the run learned from: name a data set of no class of it")
    data_dir = scene.answered.data_dir or trained.run.data.data_dir
    data = DATASETS[named](Path(data_dir))
    if data.test is None:
        raise UserError(f"{named} has no test part: name a folder of images with `ood=DIR`")
    if data.test.files is not None:
        return answer_files(trained, list(map(Path, data.test.files)), progress=scene.progress).logits, []
    source = read_images(_all(data.test.images), trained.form, f"the test part of {named}").source
    return predict_logits(trained.net, source, trained.augmentation, trained.device), []


def _refuse_test_images(scene: Scene, named: str) -> None:
    """Raise where images that are named are test images of the run, by their bytes."""
    tested = scene.answered.images
    if not isinstance(tested, FilesAhead):
        return
    files = find_images(Path(named))[0]
    copies = find_copies(Paths(files), Paths(tested.files))
    if copies:
        raise UserError(
            f"`ood={named}` is to hold images of no class of the run, and {len(copies)} of "
            f"{counts_of(len(files), 'image')} there {verb_for(len(copies))} in its test part, "
            f"{files[min(copies)]} for one: leave them out"
        )


def _all(source: ImageSource) -> Tensor:
    chunks = torch.split(torch.arange(len(source)), BATCH)
    return torch.cat(list(source.batches(chunks, torch.device("cpu"))))


def _histograms(inside: Tensor, outside: Tensor) -> dict[str, list[float]]:
    """Share of each part in bars of equal width over both."""
    both = torch.cat((inside, outside))
    low, high = float(both.min()), float(both.max())
    edges = torch.linspace(low, max(high, low + 1e-6), BARS + 1, dtype=torch.float64)
    parts = {"in": inside, "out": outside}
    shares = {name: torch.histogram(part.cpu(), edges).hist / len(part) for name, part in parts.items()}
    return {"edges": edges.tolist(), **{name: share.tolist() for name, share in shares.items()}}


def rows(numbers: dict[str, Any]) -> list[tuple[str, str]]:
    """Every number in words."""
    parts = f"{images(numbers['images'])} of the test part, {numbers['ood_images']} of {numbers['ood']}"
    found = [("images", parts)]
    for name, (what, _) in SCORES.items():
        metrics = numbers["scores"][name]
        said = (f"{title} {percent(metrics[metric])}" for metric, title in METRICS.items())
        found.append((what, ", ".join(said)))
    return [*found, *(("note", note) for note in numbers["notes"])]


def draw(numbers: dict[str, Any]) -> "Figure | None":
    """Both parts by each score."""
    figure = new_figure(3.6 * len(SCORES), 3)
    for place, (name, (what, _)) in enumerate(SCORES.items(), start=1):
        axes, shares = figure.add_subplot(1, len(SCORES), place), numbers["histograms"][name]
        labels = {
            "in": f"test part ({numbers['images']})",
            "out": f"of no class ({numbers['ood_images']})",
        }
        for part, label in labels.items():
            axes.stairs(shares[part], shares["edges"], fill=True, alpha=0.5, label=label)
        axes.set_title(f"AUROC {percent(numbers['scores'][name]['auroc'], 1)}")
        axes.set_xlabel(what)
        axes.legend(fontsize="x-small")
    figure.axes[0].set_ylabel("share of images")
    return figure
