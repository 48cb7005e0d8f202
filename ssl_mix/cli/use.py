"""Commands for a run that is there: resume, evaluate, predict; and what there is to choose from."""

import sys
from collections.abc import Mapping
from json import dumps as as_json
from pathlib import Path
from typing import Any, Literal

import tyro
from rich.markup import escape
from rich.table import Table

from ssl_mix.algorithms import ALGORITHMS
from ssl_mix.augment.crops import Crops
from ssl_mix.banks import PseudoLabelBank
from ssl_mix.cli.help import print_registry
from ssl_mix.cli.terminal import console, keep_freed_memory, reading_bar, say, warn
from ssl_mix.cli.train import finish
from ssl_mix.datasets import DATASETS
from ssl_mix.errors import UserError, check_count
from ssl_mix.mixers import MIXERS
from ssl_mix.mixing.words import WORDS
from ssl_mix.models import MODELS
from ssl_mix.recipes import RECIPES
from ssl_mix.reports.csv_files import confusion_rows, prediction_rows, pseudo_label_rows, write_csv
from ssl_mix.runs.changes import Changes
from ssl_mix.runs.folder import read_config
from ssl_mix.runs.more_labels import start_with_labels
from ssl_mix.runs.predicting import predict
from ssl_mix.runs.session import baseline_of, reopen
from ssl_mix.runs.trained import TrainedRun, Weights, evaluate, load_trained

RunFolder = tyro.conf.Positional[Path]


def load(run: Path, device: str, weights: Weights = "last") -> TrainedRun:
    """A trained run, with a note for each newer checkpoint that could not be used."""
    trained = load_trained(run, device, weights)
    if trained.device.type == "cpu":
        keep_freed_memory()
    for message in trained.warnings:
        warn(message)
    return trained


def check_writable(out: Path, name: str = "out", *, overwrite: bool = False) -> None:
    """Raise before any work is done where the folder of an output file is missing, or the file is there."""
    if not out.absolute().parent.is_dir():
        raise UserError(f"the folder of --{name} {out} does not exist: make it first")
    if out.is_dir():
        raise UserError(f"--{name} {out} is a folder: name a file")
    if out.exists() and not overwrite:
        raise UserError(f"{out} is there already: choose another --{name}, or replace it with --overwrite")


def resume(
    run: RunFolder,
    *,
    data_root: Path | None = None,
    steps: int | None = None,
    label: Path | None = None,
    out: Path | None = None,
    overwrite: bool = False,
) -> None:
    """Go on with a run that was stopped or killed, to the same bits as if it had not been; or, with --label,
    with more labels in a new folder.

    Args:
        run: folder of the run.
        data_root: folder that holds the images now, if they have moved since: it takes the place of the
            folders above them.
        steps: make the run longer, finished or not: its new length in all. Learning rate and whatever else
            depends on the length are from then on those of a run of that length; a note names them. With
            --label: the length of the new run.
        label: table of labels for images that had none, as ssl-mix suggest writes and you fill in: a .csv or
            .tsv file with the columns "file" (or "index") and "label". Rows without a label are passed over.
        out: with --label, the folder of the new run, which begins with the weights of this one; this one
            stays as it is.
        overwrite: with --label, replace a run that this folder holds.
    """
    changes = Changes(data_root, steps)
    if label is None and (out is not None or overwrite):
        raise UserError("`out` is for a run with more labels: give them with `label`, or leave it out")
    if label is not None and out is None:
        raise UserError("a run with more labels goes to a new folder: name it with `out`")
    with reading_bar() as progress:
        if label is None or out is None:
            opened = reopen(run, changes=changes, progress=progress)
        else:
            opened = start_with_labels(
                run, label, out, changes=changes, overwrite=overwrite, progress=progress
            )
    finish(opened)


def evaluate_command(
    run: RunFolder,
    *,
    data_dir: str | None = None,
    test: str | None = None,
    crops: Crops = "center",
    weights: Weights = "last",
    device: str = "auto",
    confusion: Path | None = None,
    overwrite: bool = False,
    json: bool = False,
) -> None:
    """Test accuracy of a run's teacher, in all, by class and as the mean of classes, and macro F1.

    Of images of your own the test part alone is read, wherever those are that were learned from.

    Args:
        run: folder of the run.
        data_dir: where the files of a data set with a name are now, if they have moved.
        test: other test images: a folder with one sub-folder per class, or a table.
        crops: "center", or "ten": the mean over corners and center with their mirror images, as published
            codes of fine-grained transfer evaluate; for data sets of folders and for fine-grained transfer.
        weights: the "last" ones, or those that were "best" on the part that --validation held out.
        device: "auto", "cpu" or "cuda".
        confusion: CSV file for the confusion matrix: a row for each true class, a column for each predicted
            one.
        overwrite: replace a file that is there.
        json: print one JSON object instead: accuracy, probe_accuracy where a probe was found,
            mean_class_accuracy, macro_f1, per_class (accuracy), class_images, images, step.
    """
    if confusion is not None:
        check_writable(confusion, "confusion", overwrite=overwrite)
    trained = load(run, device, weights)
    with reading_bar() as progress:
        found = evaluate(trained, data_dir=data_dir, test=test, crops=crops, progress=progress)
    if found.probe_accuracy is None and not test:
        found = found._replace(probe_accuracy=baseline_of(read_config(run)).get("probe_accuracy"))
    for note in found.notes:
        warn(note)
    if confusion is not None:
        write_csv(confusion, confusion_rows(found.confusion, trained.classes))
    if json:
        print(as_json({**found.plain(), "step": trained.step}))
        return
    crop = "ten crops of each" if crops == "ten" else "central crops"
    say(f"Teacher after step {trained.step} ({weights} weights) on {found.images} test images, {crop}")
    table = Table("class", "images", "accuracy")
    for name, value in found.per_class.items():
        share = "-" if value is None else f"{100 * value:.2f} %"
        table.add_row(escape(name), str(found.class_images[name]), share)
    table.add_section()
    count = str(found.images)
    table.add_row("mean of classes", count, f"{100 * found.mean_class_accuracy:.2f} %")
    table.add_row("macro F1", count, f"{100 * found.macro_f1:.2f} %")
    table.add_row("all", count, f"{100 * found.accuracy:.2f} %")
    if found.probe_accuracy is not None:
        probe = f"{100 * found.probe_accuracy:.2f} %"
        table.add_row("linear probe on the features before training", count, probe)
    console.print(table)


def predict_command(
    run: RunFolder,
    paths: tyro.conf.Positional[list[Path]],
    *,
    out: Path,
    top: int = 5,
    weights: Weights = "last",
    device: str = "auto",
    overwrite: bool = False,
) -> None:
    """Classify images with a run's teacher and write a CSV file: file, class, confidence, next likely
    classes, error.

    A file that cannot be read has the reason in the last column and nothing before it. The exit status is 1
    where that is all there is.

    Args:
        run: folder of the run.
        paths: images, and folders that are searched for images.
        out: the CSV file.
        top: how many classes to name for each image.
        weights: the "last" ones, or those that were "best" on the part that --validation held out.
        device: "auto", "cpu" or "cuda".
        overwrite: replace a file that is there.
    """
    check_count("top", top)
    check_writable(out, overwrite=overwrite)
    if not paths:
        raise UserError("no image to predict: give files or folders after the run")
    trained = load(run, device, weights)
    with reading_bar() as progress:
        found = predict(trained, paths, progress=progress)
    for note in found.notes:
        warn(note)
    for path, reason in found.broken:
        warn(f"cannot read {path}: {reason}")
    count = write_csv(out, prediction_rows(found, trained.classes, top)) - len(found.broken)
    failed = f", and {len(found.broken)} files that cannot be read" if found.broken else ""
    say(f"{count} predictions{failed} in {out}")
    if not count:
        sys.exit(1)


def pseudo_labels(run: RunFolder, *, out: Path, overwrite: bool = False) -> None:
    """Write what a run last predicted for each unlabeled image as a CSV file.

    Columns: file or index, class, confidence, whether that pseudo-label passed the threshold of its algorithm
    as it was then, first and last step in which one did (empty for algorithms without a threshold), and how
    often the predicted class changed.

    Args:
        run: folder of the run.
        out: the CSV file.
        overwrite: replace a file that is there.
    """
    check_writable(out, overwrite=overwrite)
    trained = load(run, "cpu")
    if not trained.run.algorithm.unlabeled_views:
        raise UserError(f"{run} has no pseudo-labels: {type(trained.run.algorithm).__name__} makes none")
    slots = trained.state["bank"]
    bank = PseudoLabelBank(len(slots["label"]), len(trained.classes))
    bank.load_state_dict(slots)
    selects = trained.run.algorithm.selects
    count = write_csv(out, pseudo_label_rows(run, bank, trained.classes, selects=selects))
    say(f"{count} pseudo-labels in {out}")


REGISTRIES: dict[str, Mapping[str, Any]] = {
    "algorithms": ALGORITHMS,
    "mixing": WORDS,
    "mixers": MIXERS,
    "networks": MODELS,
    "data-sets": DATASETS,
    "recipes": RECIPES,
}
What = Literal["all", "algorithms", "mixing", "mixers", "networks", "data-sets", "recipes"]


def list_command(what: tyro.conf.Positional[What] = "all") -> None:
    """Algorithms, words of mixing, mixers, networks, data sets and recipes, with a line each.

    Args:
        what: one of them alone.
    """
    for name, registry in REGISTRIES.items():
        if what in ("all", name):
            print_registry(name.replace("-", " ").capitalize(), registry)
