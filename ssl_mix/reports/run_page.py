"""The page of one run."""

import shlex
from collections.abc import Callable, Sequence

from ssl_mix.errors import UserError, counts_of
from ssl_mix.reports.auto_ladder import is_auto, ladder_section
from ssl_mix.reports.blocks import Block, Commands, Fold, Section, Table, Text
from ssl_mix.reports.curves import charts
from ssl_mix.reports.galleries import test_gallery, unlabeled_gallery
from ssl_mix.reports.headline import headline, title_of
from ssl_mix.reports.page import png_figure, render
from ssl_mix.reports.pseudo_label_blocks import pseudo_label_blocks
from ssl_mix.reports.settings import setting_blocks
from ssl_mix.reports.summary import summarize, summary_rows
from ssl_mix.reports.test_part import class_blocks, confidence_blocks, confusion_blocks
from ssl_mix.reports.told import Told
from ssl_mix.runs.reading import reading
from ssl_mix.suites import SUITES
from ssl_mix.suites.results import FIGURES, RESULTS, read_results

BUDGET = 10_000_000  # characters of pictures in a page


def run_page(told: Told, budget: int = BUDGET) -> str:
    """The page of a run as HTML.

    Args:
        told: what is known of it.
        budget: characters of pictures.
    """
    return render(title_of(told), headline(told), sections(told, budget))


def sections(told: Told, budget: int) -> list[Section]:
    """All parts of the page but its top; what is not known is a sentence in its place."""
    classes, tested, unlabeled, numbers = told.classes, told.tested, told.unlabeled, told.numbers
    curves = charts(told.records, _sizes(told)) or [Text("No curve is recorded yet.")]
    found = [*_ladder(told), Section("Curves", [*curves, _summary(told)])]
    if isinstance(tested, str):
        found.append(Section("Test images", [Text(tested)]))
    else:
        found.append(Section("What it confuses", confusion_blocks(tested, classes)))
        found.append(Section("Accuracy by class", class_blocks(tested, classes)))
        found.append(Section("Accuracy by confidence", confidence_blocks(tested)))
        found.append(
            Section("Test images", _pictures(lambda: test_gallery(tested, classes, budget * 7 // 10)))
        )
    blocks = [Text(numbers)] if isinstance(numbers, str) else pseudo_label_blocks(numbers, classes)
    if isinstance(unlabeled, str):
        blocks += [] if unlabeled == numbers else [Text(unlabeled)]
    elif len(unlabeled):
        blocks += _pictures(lambda: unlabeled_gallery(unlabeled, classes, budget * 3 // 10))
    found.append(Section("Pseudo-labels", blocks))
    mixed: Block = Text(told.mixed) if isinstance(told.mixed, str) else told.mixed
    found.append(Section("What mixers do to these images", [mixed]))
    measured = suite_blocks(told)
    found += [Section("Measured by suites", measured)] if measured else []
    return [
        *found,
        Section("Settings", setting_blocks(told.config)),
        Section("Next", [Commands(commands(told))]),
    ]


def _ladder(told: Told) -> list[Section]:
    """What ``ssl-mix auto`` tried, of its runs alone."""
    if not is_auto(told.folder):
        return []
    try:
        return [ladder_section(told.folder)]
    except (UserError, OSError) as error:
        return [Section("What auto tried", [Text(f"That cannot be read: {error}")])]


def _sizes(told: Told) -> dict[str, str]:
    """Of how many images the values of a panel of curves are."""
    found = {"Accuracy": counts_of(told.test_images, "test image")} if told.test_images else {}
    if not isinstance(told.split, str) and told.split.unlabeled:
        found["Pseudo-labels"] = counts_of(len(told.split.unlabeled), "unlabeled image")
    return found


def _pictures(make: Callable[[], list[Block]]) -> list[Block]:
    """Galleries, or why their images cannot be read."""
    try:
        return make()
    except (UserError, OSError) as error:
        return [Text(f"The pictures cannot be shown: {error}")]


def _summary(told: Told) -> Block:
    return Fold(
        "The result in numbers", [Table(summary_rows(summarize(list(told.records)), told.test_images))]
    )


def suite_blocks(told: Told) -> list[Block]:
    """Rows and figures of the suites that ``ssl-mix evaluate --suite`` has measured on the run."""
    try:
        results = read_results(told.folder)
    except UserError as error:
        return [Text(f"What suites have measured cannot be read: {error}")]
    found: list[Block] = []
    for name, numbers in results.items():
        if name not in SUITES:
            continue
        of = f"{numbers.get('weights', 'last')} weights after step {numbers.get('step')}"
        elsewhere = f", on {numbers['test']}" if numbers.get("test") else ""
        try:
            with reading(told.folder / RESULTS):
                rows = SUITES[name].rows(numbers)
        except UserError as error:
            found.append(Text(f"{name}: {error}"))
            continue
        found.append(Table(rows, (), f"{name}: {SUITES[name].about} ({of}{elsewhere})"))
        picture = told.folder / FIGURES / f"{name}.png"
        found += [png_figure(picture, f"{name}: {SUITES[name].about}")] if picture.exists() else []
    return found


def commands(told: Told) -> str:
    """What to type next."""
    folder = shlex.quote(str(told.folder))
    test = "" if told.test_images else " --test DIR"
    lines: Sequence[str] = (
        f"ssl-mix evaluate {folder}{test} --suite all",
        f"ssl-mix predict {folder} IMAGE... --out predictions.csv",
        f"ssl-mix report {folder} --out report.html --overwrite",
    )
    return "\n".join(lines)
