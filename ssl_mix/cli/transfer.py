"""``ssl-mix transfer``: what a trained network is worth for another task."""

import dataclasses
import sys
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.table import Table

from ssl_mix.cli.terminal import console, keep_freed_memory, reading_bar, say, warn
from ssl_mix.cli.train import step_through
from ssl_mix.errors import UserError, counts_of
from ssl_mix.runs.stopping import Stopped
from ssl_mix.segmentation.options import SegmentationOptions
from ssl_mix.segmentation.run import (
    PICTURE,
    PROBE,
    RESULT,
    SegmentationRun,
    resume_segmentation,
    start_segmentation,
)
from ssl_mix.shell import quoted

Task = Literal["segmentation"]


def transfer(
    task: tyro.conf.Positional[Task],
    segmentation: SegmentationOptions,
    *,
    out: Path,
    run: Annotated[Path | None, tyro.conf.arg(name="from")] = None,
    overwrite: bool = False,
) -> None:
    """Train a network on images with masks, and say how well it finds the class of each pixel.

    Args:
        task: what it learns.
        segmentation: images, network and training.
        out: folder of the new run.
        run: folder of the run whose network and weights to start from, in place of --net and --pretrained.
        overwrite: replace a run that is there.
    """
    del task
    if run is not None and (segmentation.net, segmentation.pretrained) != (None, None):
        raise UserError("`from` names network and weights: leave out `net` and `pretrained`")
    if run is not None:
        segmentation = dataclasses.replace(segmentation, pretrained=str(run))
    with reading_bar() as progress:
        started = start_segmentation(segmentation, out, overwrite=overwrite, progress=progress)
    finish(started)


def resume(folder: Path) -> None:
    """Go on with a run of ``transfer`` that was stopped or killed, to the same bits."""
    with reading_bar() as progress:
        reopened = resume_segmentation(folder, progress)
    finish(reopened)


def finish(run: SegmentationRun) -> None:
    """Train with a live bar, then score."""
    session, trainer = run.session, run.session.trainer
    for note in session.notes:
        warn(note)
    if trainer.device.type == "cpu":
        keep_freed_memory()
    pairs = run.ready.pairs
    say(
        f"Segmentation: {counts_of(len(pairs.train), 'image')} to learn from, {len(pairs.test)} to score on, "
        f"{len(trainer.data.classes)} classes, {trainer.feed.shape[1]} pixels, on {trainer.device}; step "
        f"{trainer.step} of {trainer.config.steps}"
    )
    try:
        step_through(session, "segmentation")
    except Stopped as stopped:
        say(f"stopped after step {trainer.step}; go on with: ssl-mix resume {quoted(session.folder)}")
        sys.exit(stopped.status)
    with reading_bar() as progress:
        score = run.finish(progress)
    table = Table("on the test masks", "mIoU", "mAcc", "pixels right")
    for name, found in {**run.baselines, f"trained, step {trainer.step}": score}.items():
        shares = (found.mean_iou, found.mean_pixel_accuracy, found.pixel_accuracy)
        table.add_row(name, *(f"{100 * share:.2f} %" for share in shares))
    table.add_section()
    for number, iou in enumerate(score.class_ious):
        table.add_row(f"class {number}", "-" if iou is None else f"{100 * iou:.2f} %", "", "")
    console.print(table)
    probed = run.baselines[PROBE].mean_iou
    if score.mean_iou < probed:
        warn(
            f"training ended at {score.mean_iou:.1%} mIoU, below the linear head on frozen features "
            f"({probed:.1%}): take more `steps`, or another `lr`"
        )
    say(f"Numbers  {session.folder / RESULT}\nPicture  {session.folder / PICTURE}")
