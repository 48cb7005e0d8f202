"""``ssl-mix demo``: what a pre-trained network makes of photographs with two labels a class."""

import json
import platform
import statistics
import time
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
from ssl_mix.cli.terminal import console, reading_bar, say, training_bar
from ssl_mix.datasets import DataSet, ImageSet
from ssl_mix.evaluation import predict_probabilities
from ssl_mix.recipes.auto import chosen_options, prepare
from ssl_mix.recipes.build import build_run
from ssl_mix.recipes.ladder import PROBE, run_of
from ssl_mix.reports import write_reports
from ssl_mix.reports.answers import draw_answers
from ssl_mix.reports.html import REPORT, Section, render
from ssl_mix.reports.plots import save_png
from ssl_mix.runs.features import Features
from ssl_mix.runs.folder import create_run_folder, write_text
from ssl_mix.runs.head import cached_features
from ssl_mix.runs.session import Session, start
from ssl_mix.runs.trained import TrainedRun, load_trained

DATA, NET = "caltech-mini", "lite0"
STEPS = 100  # of fine-tuning
PICTURE = "answers.png"
PROBED, TUNED, FOUND = "linear probe", "fine-tuning", "auto"
HEADER = ("method", "accuracy %", "to the probe", "CPU seconds")


class Answers(NamedTuple):
    """What a method made of one choice of labels.

    Attributes:
        predicted: class of each test image, (N,) int64.
        seconds: of all processors that it took, without the features that all choices share.
        chosen: what ``auto`` chose.
    """

    predicted: Tensor
    seconds: float
    chosen: str = ""


def photo_demo(
    out: Path, *, labels_per_class: int = 2, seeds: int = 3, steps: int | None = None, overwrite: bool = False
) -> None:
    """Compare a linear probe, fine-tuning and ``auto`` on photographs; ``ssl-mix demo``.

    Args:
        out: folder for everything.
        labels_per_class: labeled photographs of each class; the other training photographs are unlabeled.
        seeds: choices of labels.
        steps: of fine-tuning (default: 100) and of the heads that ``auto`` trains (default: its own).
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
    say("Features of all photographs, once")
    began = time.process_time()
    with reading_bar() as progress:
        features = cached_features(run, data, None, progress=progress)
    seconds = time.process_time() - began
    answers: dict[str, list[Answers]] = {PROBED: [], TUNED: [], FOUND: []}
    for seed in range(seeds):
        compare(answers, out, options | {"split_seed": seed}, features)
    finish(out, described(answers, data, labels_per_class, seconds), answers, data)


def compare(
    answers: dict[str, list[Answers]], out: Path, options: dict[str, Any], features: Features
) -> None:
    """What the three methods make of one choice of labels, each appended to its ``answers``."""
    seed, data = options["split_seed"], features.images
    began = time.process_time()
    steps = options.get("steps", STEPS)
    every = {"eval_every": steps, "checkpoint_every": steps}
    run = build_run("fine-tuning", {**options, "steps": steps, **every}).run
    tuned = trained(start(run, out / f"fine-tuning-split{seed}"), f"labels {seed}  fine-tuning")
    tuning = time.process_time() - began

    began = time.process_time()
    session, found = prepare(out / f"auto-split{seed}", options, features=features)
    kept = trained(session, f"labels {seed}  auto: {found.rung.name}")
    finding = time.process_time() - began

    began = time.process_time()
    features.probe(session.trainer.split)
    probing = time.process_time() - began
    assert data.test is not None and kept.probe is not None
    answers[PROBED].append(Answers(predicted(kept.probe, kept, data.test), probing))
    answers[TUNED].append(Answers(predicted(tuned.net, tuned, data.test), tuning))
    answers[FOUND].append(Answers(predicted(kept.net, kept, data.test), finding, found.rung.name))


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


def predicted(net: nn.Module, run: TrainedRun, test: ImageSet) -> Tensor:
    """The likeliest class of each test image by a network of a run, (N,) int64."""
    return predict_probabilities(net, test.images, run.augmentation, run.device).argmax(dim=1)


def described(
    answers: Mapping[str, Sequence[Answers]], data: DataSet, labels_per_class: int, seconds: float
) -> dict[str, Any]:
    """The content of ``results.json``."""
    assert data.test is not None
    truth, labeled = data.test.labels, labels_per_class * len(data.classes)
    return {
        "classes": len(data.classes),
        "labels_per_class": labels_per_class,
        "unlabeled": len(data.train.labels) - labeled,
        "test": len(truth),
        "features_seconds": seconds,
        "hardware": f"{platform.machine()} CPU, {torch.get_num_threads()} threads",
        "versions": {"ssl_mix": __version__, "torch": torch.__version__},
        "methods": {
            name: [
                {
                    "accuracy": (one.predicted == truth).float().mean().item(),
                    "seconds": one.seconds,
                    "chosen": one.chosen,
                }
                for one in splits
            ]
            for name, splits in answers.items()
        },
    }


def finish(
    out: Path, results: Mapping[str, Any], answers: Mapping[str, Sequence[Answers]], data: DataSet
) -> None:
    """Print the table, write picture, report and ``results.json``, and say what to type next."""
    assert data.test is not None
    first = {name: splits[0].predicted for name, splits in answers.items()}
    figure = draw_answers(data.test, first, data.classes)
    save_png(figure, out / PICTURE)
    write_text(out / RESULTS, json.dumps(results, indent=2) + "\n")
    title, rows, text = title_of(results), rows_of(results), explanation(results)
    commands = next_commands(out)
    sections = [
        Section(title, text=text, rows=[HEADER, *rows]),
        Section("Right and wrong, by the first choice of labels", figure=figure),
        Section("Next", commands=commands),
    ]
    write_text(out / REPORT, render("Photographs with few labels", sections))
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
    count = len(results["methods"][PROBED])
    mean = " (mean +- deviation)" if count > 1 else ""
    return f"{results['classes']} classes, {results['labels_per_class']} labels per class, n = {count}{mean}"


def rows_of(results: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """The cells of the table; differences are taken on the same labels."""
    probe = [one["accuracy"] for one in results["methods"][PROBED]]
    rows: list[tuple[str, ...]] = []
    for name, splits in results["methods"].items():
        accuracies = [one["accuracy"] for one in splits]
        gains = [one - other for one, other in zip(accuracies, probe, strict=True)]
        seconds = statistics.fmean(one["seconds"] for one in splits)
        gain = "" if name == PROBED else share_cell(gains, "+.1f")
        rows.append((name, share_cell(accuracies), gain, f"{seconds:.1f}"))
    return rows


def explanation(results: Mapping[str, Any]) -> str:
    """What the table means."""
    chosen = Counter(one["chosen"] for one in results["methods"][FOUND]).most_common()
    return (
        "Every row saw the same labeled photographs of Caltech-101, was tested on the same "
        f"{results['test']}, and began from the same network, EfficientNet-Lite0 with its ImageNet weights. "
        "The probe is a logistic regression on its features; fine-tuning goes on from there with all "
        f"weights; auto also has {results['unlabeled']} unlabeled photographs, and by cross-validation over "
        f"the labels it chose {', '.join(f'{name} {times}x' for name, times in chosen)}. Probe and auto need "
        f"the features of all photographs, once: {results['features_seconds']:.0f} CPU seconds more."
    )


def next_commands(out: Path) -> str:
    """What to type next."""
    return f"""\
ssl-mix predict {out / "auto-split0"} IMAGE... --out predictions.csv
ssl-mix auto --net lite0 --labeled LABELED_FOLDER --unlabeled IMAGE_FOLDER --image-size 128 --out runs/mine
ssl-mix list"""
