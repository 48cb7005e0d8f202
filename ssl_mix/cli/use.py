"""Commands for a run that is there: resume, evaluate, predict; and what there is to choose from."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import tyro

from ssl_mix.algorithms import ALGORITHMS
from ssl_mix.banks import PseudoLabelBank
from ssl_mix.cli.help import print_registry
from ssl_mix.cli.terminal import keep_freed_memory, reading_bar, say, warn
from ssl_mix.cli.train import finish
from ssl_mix.cli.transfer import resume as resume_transfer
from ssl_mix.datasets import DATASETS
from ssl_mix.errors import UserError, check_count, counts_of
from ssl_mix.export.exported import Exported
from ssl_mix.mixers import MIXERS
from ssl_mix.mixing.words import WORDS
from ssl_mix.models import MODELS
from ssl_mix.ranks import count
from ssl_mix.rebalance import ADDONS
from ssl_mix.recipes import RECIPES
from ssl_mix.reports.csv_files import prediction_rows, pseudo_label_rows, write_csv
from ssl_mix.runs.changes import Changes
from ssl_mix.runs.folder import check_place
from ssl_mix.runs.more_labels import start_with_labels
from ssl_mix.runs.predicting import Precision, computing, predict, settled_precision
from ssl_mix.runs.rejecting import choose_rejection
from ssl_mix.runs.session import reopen
from ssl_mix.runs.trained import TrainedRun, Weights, load_trained
from ssl_mix.segmentation.run import is_segmentation

RunFolder = tyro.conf.Positional[Path]


def load(run: Path, device: str, weights: Weights = "last") -> TrainedRun:
    """A trained run, with a note for each newer checkpoint that could not be used."""
    trained = load_trained(run, device, weights)
    if trained.device.type == "cpu":
        keep_freed_memory()
    for message in trained.warnings:
        warn(message)
    return trained


def load_to_answer(run: Path, device: str, weights: Weights, amp: Precision) -> tuple[TrainedRun, Precision]:
    """A trained run, and the precision to answer in, which is told where it was left to a trial."""
    trained = load(run, device, weights)
    found = settled_precision(amp, trained.net, trained.shape, trained.device)
    if amp == "auto":
        warn(f"computing in {'bfloat16' if found == 'bf16' else 'float32'}, the faster one here")
    return trained, found


def check_writable(out: Path, name: str = "out", *, overwrite: bool = False) -> None:
    """Raise before any work is done where the folder of an output file is missing, or the file is there."""
    if not out.absolute().parent.is_dir():
        raise UserError(f"the folder of --{name} {out} does not exist: make it first")
    if out.is_dir():
        raise UserError(f"--{name} {out} is a folder: name a file")
    check_place(out)
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
    if is_segmentation(run):
        if overwrite or any(given is not None for given in (data_root, steps, label, out)):
            raise UserError("a transfer goes on as it began: leave out all but its folder")
        if count() > 1:
            raise UserError("a transfer is for one process: start it without torchrun")
        resume_transfer(run)
        return
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


def check_of_runs(run: Path, **given: bool) -> None:
    """Raise where an exported network takes the place of a run and options are given that it has no use
    for."""
    useless = [name for name, is_given in given.items() if is_given]
    if run.is_file() and useless:
        raise UserError(f"{run} is an exported network: `{useless[0]}` is for runs, leave it out")


def predict_command(
    run: RunFolder,
    paths: tyro.conf.Positional[list[Path]],
    *,
    out: Path,
    top: int = 5,
    calibrated: bool = False,
    reject: float | None = None,
    weights: Weights = "last",
    device: str = "auto",
    amp: Precision = "off",
    overwrite: bool = False,
) -> None:
    """Classify images with a run's teacher, or an exported network, and write a CSV file: file, class,
    confidence, next likely classes, error.

    A file that cannot be read has the reason in the last column and nothing before it. The exit status is 1
    where that is all there is.

    Args:
        run: folder of the run, or a file that export has written.
        paths: images, and folders that are searched for images; one that comes twice has one row.
        out: the CSV file.
        top: how many classes to name for each image.
        calibrated: make the confidence what it says, by the temperature that ssl-mix evaluate RUN --suite
            calibration has fitted; the classes stay as they are.
        reject: answer "none of these" for images that look less like one of the classes than all but this
            share of the images that --validation held out, or else of the labeled ones; 0.05 is usual.
        weights: the "last" ones, or those that were "best" on the part that --validation held out.
        device: "auto", "cpu" or "cuda".
        amp: "bf16" computes in bfloat16, which moves confidences by about 0.01; "auto" where that is faster.
        overwrite: replace a file that is there.
    """
    check_count("top", top)
    check_writable(out, overwrite=overwrite)
    if not paths:
        raise UserError("no image to predict: give files or folders after the run")
    check_of_runs(
        run,
        calibrated=calibrated,
        reject=reject is not None,
        weights=weights != "last",
        device=device != "auto",
        amp=amp != "off",
    )
    if reject is not None and not 0 <= reject < 1:
        raise UserError(f"reject is a share of images of the classes, in [0, 1), got {reject}")
    trained, amp = (Exported(run), amp) if run.is_file() else load_to_answer(run, device, weights, amp)
    temperature = trained.temperature if calibrated and isinstance(trained, TrainedRun) else 1.0
    with reading_bar() as progress, computing(amp, trained.device):
        rejection = None
        if reject is not None and isinstance(trained, TrainedRun):
            rejection = choose_rejection(trained, reject, progress)
        found = predict(trained, paths, temperature=temperature, rejection=rejection, progress=progress)
    for note in found.notes:
        warn(note)
    for path, reason in found.broken:
        warn(f"cannot read {path}: {reason}")
    count = write_csv(out, prediction_rows(found, trained.classes, top)) - len(found.broken)
    failed = f", and {counts_of(len(found.broken), 'file')} that cannot be read" if found.broken else ""
    if rejection is not None and found.rejected is not None:
        say(f"none of these: {counts_of(int(found.rejected.sum()), 'image')}; {rejection.note}")
    say(f"{counts_of(count, 'prediction')}{failed} in {out}")
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
    rest = len(slots["label"]) - count
    missing = f"; no step has drawn the other {rest} yet" if rest else ""
    say(f"{counts_of(count, 'pseudo-label')} in {out}{missing}")


REGISTRIES: dict[str, Mapping[str, Any]] = {
    "algorithms": ALGORITHMS,
    "mixing": WORDS,
    "mixers": MIXERS,
    "rebalance": ADDONS,
    "networks": MODELS,
    "data-sets": DATASETS,
    "recipes": RECIPES,
}
What = Literal["all", "algorithms", "mixing", "mixers", "rebalance", "networks", "data-sets", "recipes"]


def list_command(what: tyro.conf.Positional[What] = "all") -> None:
    """Algorithms, words of mixing, mixers, add-ons for long tails, networks, data sets, recipes: a line each.

    Args:
        what: one of them alone.
    """
    for name, registry in REGISTRIES.items():
        if what in ("all", name):
            print_registry(name.replace("-", " ").capitalize(), registry)
