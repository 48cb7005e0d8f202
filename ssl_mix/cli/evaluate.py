"""``ssl-mix evaluate``: how good a trained run is."""

import sys
from collections.abc import Callable, Sequence
from json import dumps as as_json
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from ssl_mix.augment.crops import Crops
from ssl_mix.cli.terminal import console, reading_bar, say, warn
from ssl_mix.cli.use import RunFolder, check_of_runs, check_writable, load_to_answer
from ssl_mix.errors import UserError, check_choice, counts_of
from ssl_mix.evaluation import predict_logits, share_interval
from ssl_mix.export.exported import Exported
from ssl_mix.reports.csv_files import confusion_rows, write_csv
from ssl_mix.reports.plots import save_png
from ssl_mix.runs.answered import Answered, answer_test_part
from ssl_mix.runs.evaluation import Evaluation, evaluation_of
from ssl_mix.runs.predicting import Precision, computing
from ssl_mix.runs.tested import read_test, readable
from ssl_mix.runs.trained import Weights
from ssl_mix.suites import DEFAULTS, SUITES, Scene, SuiteOptions
from ssl_mix.suites.results import CONFUSION, FIGURES, keep_results


def evaluate_command(
    run: RunFolder,
    *,
    suite: str | None = None,
    options: SuiteOptions = DEFAULTS,
    data_dir: str | None = None,
    test: str | None = None,
    among_classes: bool = False,
    crops: Crops = "center",
    weights: Weights = "last",
    device: str = "auto",
    amp: Precision = "off",
    confusion: Path | None = None,
    overwrite: bool = False,
    json: bool = False,
) -> None:
    """Test accuracy of a run's teacher, in all, by class and as the mean of classes, and macro F1; with
    --suite whatever else is asked for.

    Of images of your own the test part alone is read, wherever those are that were learned from.

    Args:
        run: folder of the run, or a file that export has written, with --test.
        suite: names with commas between them, or "all" that can be run here; what they find is kept in
            evaluation.json in the run's folder, with a picture of each beside it, and shown in its report.
        options: of suites.
        data_dir: where the files of a data set with a name are now, if they have moved.
        test: other test images: a folder with one sub-folder per class, or a table.
        among_classes: let the network choose among the classes alone that have test images, as is usual for
            ImageNet-A and ImageNet-O, whose images are of 200 of the 1000 classes.
        crops: "center", or "ten": the mean over corners and center with their mirror images, as published
            codes of fine-grained transfer evaluate; for data sets of folders and for fine-grained transfer.
        weights: the "last" ones, or those that were "best" on the part that --validation held out.
        device: "auto", "cpu" or "cuda".
        amp: "bf16" computes in bfloat16, which moves confidences by about 0.01; "auto" where that is faster.
        confusion: CSV file for the confusion matrix: rows are true classes, columns predicted ones.
        overwrite: replace a file that is there.
        json: print one JSON object instead: accuracy, probe_accuracy where a probe was found,
            mean_class_accuracy, macro_f1, per_class (accuracy), class_images, images, step, and what every
            other suite found under its name.
    """
    names = suite_names(suite)
    options.check()
    if confusion is not None:
        check_writable(confusion, "confusion", overwrite=overwrite)
    check_of_runs(
        run,
        suite=bool(names),
        options=options != DEFAULTS,
        data_dir=data_dir is not None,
        among_classes=among_classes,
        crops=crops != "center",
        weights=weights != "last",
        device=device != "auto",
        amp=amp != "off",
    )
    if run.is_file():
        tell_exported(Exported(run), test, confusion, json=json)
        return
    trained, amp = load_to_answer(run, device, weights, amp)
    with reading_bar() as progress, computing(amp, trained.device):
        answered = answer_test_part(trained, data_dir=data_dir, test=test, crops=crops, progress=progress)
        answered = answered.among_classes() if among_classes else answered
        found = answered.evaluation()
        for note in found.notes:
            warn(note)
        if confusion is not None:
            write_csv(confusion, confusion_rows(found.confusion, answered.classes))
        about = {"step": trained.step, "weights": weights, "test": test, "crops": crops}
        about |= {"among_classes": among_classes, "amp": amp}

        def keep(name: str, numbers: dict[str, Any]) -> None:
            keep_results(run, {name: numbers}, about)
            draw(run, name, numbers)
            if name == "accuracy":
                write_csv(run / FIGURES / CONFUSION, confusion_rows(found.confusion, answered.classes))

        measured = measure(names, Scene(answered, options, progress), keep)
    if json:
        others = {name: numbers for name, numbers in measured.items() if name != "accuracy"}
        print(as_json({**found.plain(), **measured.get("accuracy", {}), **others, "step": trained.step}))
    else:
        tell(answered, found, measured, f"{weights} weights", crops)
    if len(measured) < len(names) and suite != "all":
        sys.exit(1)


def tell_exported(net: Exported, test: str | None, confusion: Path | None, *, json: bool) -> None:
    """Print how good an exported network is on images with labels."""
    if test is None:
        raise UserError(
            "an exported network has no test images: give `test=DIR` with one sub-folder per class"
        )
    with reading_bar() as progress:
        part = read_test(Path(test), net.form, net.classes, progress)
        logits = predict_logits(net.net, part.images, net.augmentation, net.device)
    kept, told = readable(part.images)
    for note in (*part.notes, *told):
        warn(note)
    found = evaluation_of(logits[kept].softmax(dim=1), part.labels[kept], net.classes)
    if confusion is not None:
        write_csv(confusion, confusion_rows(found.confusion, net.classes))
    if json:
        print(as_json({**found.plain(), "step": net.about.step}))
        return
    say(f"Exported after step {net.about.step} on {counts_of(found.images, 'test image')}, central crops")
    console.print(by_class(found))


def suite_names(words: str | None) -> list[str]:
    """The suites that are asked for, each once."""
    if words is None:
        return []
    names = list(SUITES) if words == "all" else list(dict.fromkeys(map(str.strip, words.split(","))))
    for name in names:
        check_choice("suite", name, SUITES)
    return names


def measure(
    names: Sequence[str], scene: Scene, keep: Callable[[str, dict[str, Any]], None]
) -> dict[str, Any]:
    """The numbers of each suite, kept as soon as they are known; a note for one that cannot be measured here,
    which is left out."""
    measured = {}
    for name in names:
        try:
            measured[name] = SUITES[name].measure(scene)
        except (UserError, OSError, RuntimeError, MemoryError) as error:
            warn(f"no {name}: {error}")
            continue
        keep(name, measured[name])
    return measured


def draw(run: Path, name: str, numbers: dict[str, Any]) -> None:
    """The figure of a suite, if it makes one, into the run's folder."""
    figure = SUITES[name].draw(numbers)
    if figure is not None:
        (run / FIGURES).mkdir(exist_ok=True)
        save_png(figure, run / FIGURES / f"{name}.png")


def tell(answered: Answered, found: Evaluation, measured: dict[str, Any], weights: str, crops: Crops) -> None:
    """Print what was found."""
    crop = "ten crops of each" if crops == "ten" else "central crops"
    step = answered.trained.step
    say(f"Teacher after step {step} ({weights}) on {counts_of(found.images, 'test image')}, {crop}")
    if not measured or "accuracy" in measured:
        console.print(by_class(found))
    for name, numbers in measured.items():
        table = Table(name, "")
        for what, value in SUITES[name].rows(numbers):
            table.add_row(escape(what), escape(value))
        console.print(table)


def by_class(found: Evaluation) -> Table:
    """Accuracy of each class and in all, with Wilson's intervals."""
    table, intervals = Table("class", "images", "accuracy", "95 % interval (Wilson)"), found.class_intervals()
    for name, value in found.per_class.items():
        share = "-" if value is None else f"{100 * value:.2f} %"
        ends = intervals[name]
        between = "" if ends is None else f"{100 * ends[0]:.1f} to {100 * ends[1]:.1f} %"
        table.add_row(escape(name), str(found.class_images[name]), share, between)
    table.add_section()
    count = str(found.images)
    table.add_row("mean of classes", count, f"{100 * found.mean_class_accuracy:.2f} %")
    table.add_row("macro F1", count, f"{100 * found.macro_f1:.2f} %")
    low, high = share_interval(round(found.accuracy * found.images), found.images)
    whole = f"{100 * low:.1f} to {100 * high:.1f} %"
    table.add_row("all", count, f"{100 * found.accuracy:.2f} %", whole)
    if found.probe_accuracy is not None:
        probe = f"{100 * found.probe_accuracy:.2f} %"
        table.add_row("linear probe on the features before training", count, probe)
    return table
