"""``ssl-mix demo``: what a pre-trained network makes of photographs with two labels a class."""

import dataclasses
import json
import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from rich.box import SIMPLE_HEAD
from rich.table import Table
from torch import Tensor, nn

from ssl_mix._version import __version__
from ssl_mix.cli.digits_demo import FORMAT, RESULTS, share_cell
from ssl_mix.cli.terminal import console, keep_freed_memory, reading_bar, say, training_bar
from ssl_mix.datasets import DataSet
from ssl_mix.engine.execution import resolve_device
from ssl_mix.errors import counts_of
from ssl_mix.evaluation import predict_probabilities
from ssl_mix.recipes.auto import chosen_options, prepare
from ssl_mix.recipes.build import build_run
from ssl_mix.recipes.ladder import PROBE, run_of
from ssl_mix.reports import write_reports
from ssl_mix.reports.answers import draw_answers
from ssl_mix.reports.blocks import Commands, Section, Text
from ssl_mix.reports.blocks import Table as TableBlock
from ssl_mix.reports.comparison import compare
from ssl_mix.reports.page import REPORT, png_figure
from ssl_mix.reports.plots import save_png
from ssl_mix.reports.runs_page import runs_page
from ssl_mix.runs.features import Features
from ssl_mix.runs.folder import create_run_folder, write_text
from ssl_mix.runs.head import cached_features
from ssl_mix.runs.session import Session, start
from ssl_mix.runs.trained import TrainedRun, load_trained

DATA, NET = "caltech-mini", "lite0"
MINUTES = 1.0  # for each choice of labels: the body needs more
PICTURE = "answers.png"
PROBED, TUNED, FOUND = "linear probe", "fine-tuning", "auto"
HEADER = ("method", "accuracy %", "to the probe")


class Answers(NamedTuple):
    """What a method made of one choice of labels.

    Attributes:
        predicted: class of each test image, (N,) int64.
        chosen: what ``auto`` chose.
    """

    predicted: Tensor
    chosen: str = ""


def photo_demo(
    out: Path, *, labels_per_class: int = 2, seeds: int = 2, steps: int | None = None, overwrite: bool = False
) -> None:
    """Compare a linear probe, fine-tuning and ``auto`` on photographs; ``ssl-mix demo``.

    Args:
        out: folder for everything.
        labels_per_class: labeled photographs of each class; the other training photographs are unlabeled.
        seeds: choices of labels.
        steps: of fine-tuning and of the heads that ``auto`` trains. Default: as without a demo.
        overwrite: replace an earlier demo in that folder.
    """
    options: dict[str, Any] = {"data": DATA, "net": NET, "labels_per_class": labels_per_class}
    options |= {} if steps is None else {"steps": steps}
    run = run_of(PROBE, chosen_options(options)).settled()
    data = run.data.load()
    run.data.choose_split(data, 0)  # refuses what cannot be, before anything is replaced
    create_run_folder(
        out, {"format": FORMAT, "demo": {"labels_per_class": labels_per_class}}, overwrite=overwrite
    )
    if resolve_device(run.config.device).type == "cpu":
        keep_freed_memory()
    say("Features of all photographs, once")
    with reading_bar() as progress:
        features = cached_features(run, data, None, progress=progress)
    answers: dict[str, list[Answers]] = {PROBED: [], TUNED: [], FOUND: []}
    for seed in range(seeds):
        answers[TUNED].append(tune(out, options, seed, data))
        for name, found in zip((PROBED, FOUND), find(out, options, seed, features), strict=True):
            answers[name].append(found)
    finish(out, described(answers, data, labels_per_class), answers, data)


def tune(out: Path, options: dict[str, Any], seed: int, data: DataSet) -> Answers:
    """What fine-tuning makes of the labels, the order and the views of a seed; looked at once, at the end."""
    run = build_run("fine-tuning", {**options, "seed": seed}).run
    steps = run.config.steps
    config = dataclasses.replace(run.config, eval_every=steps, checkpoint_every=steps)
    session = start(dataclasses.replace(run, config=config), out / f"fine-tuning-seed{seed}")
    tuned = trained(session, f"seed {seed}  fine-tuning")
    return Answers(predicted(tuned.net, tuned, data))


def find(out: Path, options: dict[str, Any], seed: int, features: Features) -> tuple[Answers, Answers]:
    """What a linear probe and ``auto`` make of the labels of a seed; all seeds share the features."""
    session, found = prepare(
        out / f"auto-seed{seed}", {**options, "split_seed": seed}, features=features, minutes=MINUTES
    )
    kept = trained(session, f"seed {seed}  auto: {found.rung.name}")
    assert kept.probe is not None
    probe, best = (predicted(net, kept, features.images) for net in (kept.probe, kept.net))
    return Answers(probe), Answers(best, found.rung.name)


def trained(session: Session, label: str) -> TrainedRun:
    """Train to the end with a live bar; what came out.

    Raises:
        KeyboardInterrupt: training was interrupted.
    """
    with training_bar(label, session.trainer.config.steps) as show:
        for record in session.records():
            show(record)
    write_reports(session)
    if not session.finished:
        raise KeyboardInterrupt
    return load_trained(session.folder)


def predicted(net: nn.Module, run: TrainedRun, data: DataSet) -> Tensor:
    """The likeliest class of each test image by a network of a run, (N,) int64."""
    assert data.test is not None
    return predict_probabilities(net, data.test.images, run.augmentation, run.device).argmax(dim=1)


def described(
    answers: Mapping[str, Sequence[Answers]], data: DataSet, labels_per_class: int
) -> dict[str, Any]:
    """The content of ``results.json``."""
    assert data.test is not None
    truth, labeled = data.test.labels, labels_per_class * len(data.classes)
    return {
        "classes": len(data.classes),
        "labels_per_class": labels_per_class,
        "unlabeled": len(data.train.labels) - labeled,
        "test": len(truth),
        "hardware": f"{platform.machine()} CPU, {counts_of(torch.get_num_threads(), 'thread')}",
        "versions": {"ssl_mix": __version__, "torch": torch.__version__},
        "accuracy": {
            name: [(one.predicted == truth).float().mean().item() for one in splits]
            for name, splits in answers.items()
        },
        "chosen": [one.chosen for one in answers[FOUND]],
    }


def finish(
    out: Path, results: Mapping[str, Any], answers: Mapping[str, Sequence[Answers]], data: DataSet
) -> None:
    """Print the table, write picture, report and ``results.json``, and say what to type next."""
    assert data.test is not None
    first = {name: splits[0].predicted for name, splits in answers.items()}
    save_png(draw_answers(data.test, first, data.classes), out / PICTURE)
    write_text(out / RESULTS, json.dumps(results, indent=2) + "\n")
    commands = next_commands(out)
    page = runs_page(
        compare([out]),
        title="Photographs with few labels",
        before=[Text(explanation(results)), TableBlock(rows_of(results), HEADER, title_of(results))],
        after=[
            Section("Right and wrong", [png_figure(out / PICTURE, "by the labels of seed 0")]),
            Section("Next", [Commands(commands)]),
        ],
    )
    write_text(out / REPORT, page)
    show(results)
    say(f"\nPicture {out / PICTURE}\nReport  {out / REPORT}\nCurves  tensorboard --logdir {out}\n")
    say("Next:\n" + commands)


def show(results: Mapping[str, Any]) -> None:
    """Print the table and what it means."""
    table = Table(*HEADER, title=title_of(results), box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for row in rows_of(results):
        table.add_row(*row)
    console.print(table)
    console.print(explanation(results), highlight=False)


def title_of(results: Mapping[str, Any]) -> str:
    """The title of the table."""
    return (
        f"{counts_of(results['labels_per_class'], 'label')} in each of {results['classes']} classes, n = "
        f"{len(results['chosen'])}"
    )


def rows_of(results: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """The cells of the table; differences are taken on the same labels."""
    probe = results["accuracy"][PROBED]
    rows: list[tuple[str, ...]] = []
    for name, values in results["accuracy"].items():
        gains = [value - other for value, other in zip(values, probe, strict=True)]
        rows.append((name, share_cell(values), "" if name == PROBED else share_cell(gains, "+.1f")))
    return rows


def explanation(results: Mapping[str, Any]) -> str:
    """What the table means."""
    chosen = Counter(results["chosen"]).most_common()
    mean = "Mean +- deviation. " if len(results["chosen"]) > 1 else ""
    return (
        f"{mean}Every row saw the same labeled photographs of Caltech-101, was tested on the same "
        f"{results['test']}, and began from the same network, EfficientNet-Lite0 with its ImageNet weights. "
        "The probe is a logistic regression on its features; fine-tuning goes on from there with all "
        f"weights; auto also has {results['unlabeled']} unlabeled photographs, and by the labels alone it "
        f"chose {', '.join(f'{name} {times}x' for name, times in chosen)}."
    )


def next_commands(out: Path) -> str:
    """What to type next."""
    return f"""\
ssl-mix predict {out / "auto-seed0"} IMAGE... --out predictions.csv
ssl-mix auto --net lite0 --labeled LABELED_FOLDER --unlabeled IMAGE_FOLDER --out runs/mine
ssl-mix list"""
