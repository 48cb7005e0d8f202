"""The tables of results in the README and on the site, made from the lines that the benchmarks wrote.

    python scripts/results_tables.py            # writes them into README.md and docs/
    python scripts/results_tables.py --check    # says which pages are not up to date, and fails if any is

A page says where a table belongs, and the script fills in what is between::

    <!-- table: digits-alone -->
    <!-- end -->

A cell is a mean and a sample deviation over seeds, a difference is taken seed by seed. Nothing is trained.
"""

import argparse
import json
import re
import statistics
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import (
    auto_tables,
    body_tables,
    default_tables,
    gpu_tables,
    head_tables,
    labeling_tables,
    mix_head_tables,
    recipe_tables,
    speed_tables,
    suite_tables,
    tail_tables,
)

ROOT = Path(__file__).resolve().parents[1]
MIXES = ("none", "mixup", "dm", "mce", "as", "dm-as")
METHODS = ("fine-tuning", "l2-sp", "bss", "delta", "stochnorm", "co-tuning", "bi-tuning", "self-tuning")
TERMS = {"DM(CE)": "DM(CE), eta 0.1", "ES": "ES (last 20 % plain)"}
MIXERS = {"none": "no mixing", "mixup": "Mixup", "cutmix": "CutMix"}

Line = dict[str, Any]
Seeded = dict[Any, float]


class Setting(NamedTuple):
    """Runs of the transfer benchmark: a data set, a learning rate, rates of labels in per cent."""

    images: str
    lr: float
    rates: tuple[float, ...]


class Run(NamedTuple):
    """What the seeds of one row share: the data set of the semi-supervised benchmark, the algorithm, and the
    mixing."""

    data: str
    algorithm: str
    mix: str


@cache
def read_lines(name: str) -> list[Line]:
    """The lines of a file of results."""
    return [json.loads(line) for line in (ROOT / f"scripts/results/{name}.jsonl").read_text().splitlines()]


def cell(values: Iterable[float], form: str = ".1f") -> str:
    """Mean and sample deviation; nothing for no values."""
    known = list(values)
    if not known:
        return ""
    return f"{statistics.mean(known):{form}} +- {statistics.stdev(known):{form.removeprefix('+')}}"


def difference(values: Seeded, control: Seeded, form: str = "+.1f") -> str:
    """Mean and deviation of the differences, seed by seed."""
    return cell((value - control[seed] for seed, value in values.items()), form)


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("|".join(["", *(f" {text} " if text else " " for text in cells), ""]) for cells in lines)


def semi_supervised(wanted: Run) -> list[Line]:
    """The lines of one row of the semi-supervised benchmark."""
    return [
        line
        for line in read_lines("cifar_ssl")
        if Run(line["identity"]["dataset.name"], line["algorithm"], line["mix"]) == wanted
    ]


def accuracies(lines: Iterable[Line]) -> Seeded:
    """Accuracy after the last step in per cent, by seed."""
    return {(line.get("split_seed"), line["seed"]): 100 - line["error_last"] for line in lines}


def shares(lines: Sequence[Line]) -> list[str]:
    """Confident pseudo-labels among the unlabeled images, and true ones among those, in whole per cent."""
    means = ([x[name] for x in lines if x[name] is not None] for name in ("coverage", "precision"))
    return [f"{statistics.mean(values):.0f}" if values else "" for values in means]


def names_of(data: str, mix: str) -> list[str]:
    """The algorithms that were run on a data set with a mixing, in the order of the lines."""
    lines = read_lines("cifar_ssl")
    found = (x["algorithm"] for x in lines if (x["identity"]["dataset.name"], x["mix"]) == (data, mix))
    return list(dict.fromkeys(found))


def alone(data: str) -> str:
    """Every algorithm without mixing, against supervised training."""
    control, rows = accuracies(semi_supervised(Run(data, "supervised", "none"))), []
    for name in names_of(data, "none"):
        lines = semi_supervised(Run(data, name, "none"))
        values = accuracies(lines)
        gain = "" if name == "supervised" else difference(values, control)
        rows.append([f"`{name}`", cell(values.values()), gain, *shares(lines)])
    return table(["algorithm", "accuracy", "against supervised", "confident", "right"], rows)


def with_mixing(data: str) -> str:
    """Every algorithm with DM/AS, against itself without."""
    rows = []
    for name in names_of(data, "dm-as"):
        lines, control = (semi_supervised(Run(data, name, mix)) for mix in ("dm-as", "none"))
        values = accuracies(lines)
        gain = difference(values, accuracies(control))
        rows.append([f"`{name}`", cell(values.values()), gain, *shares(lines)])
    return table(["algorithm", "accuracy", "against `none`", "confident", "right"], rows)


def controls(data: str, algorithm: str) -> str:
    """One algorithm with every mixing."""
    control, rows = accuracies(semi_supervised(Run(data, algorithm, "none"))), []
    for mix in MIXES:
        if lines := semi_supervised(Run(data, algorithm, mix)):
            values = accuracies(lines)
            gain = "" if mix == "none" else difference(values, control)
            rows.append([f"`{mix}`", cell(values.values()), gain, *shares(lines)])
    return table([f"`{algorithm}` with `--mix`", "accuracy", "against `none`", "confident", "right"], rows)


def policies() -> str:
    """FixMatch on digits with each policy of strong views, against RandAugment."""
    control = semi_supervised(Run("digits", "fixmatch", "none"))
    found = {"randaugment": control}
    for line in read_lines("augment"):
        found.setdefault(line["identity"]["dataset.augmentation"]["policy"], []).append(line)
    rows = []
    for policy, lines in found.items():
        gain = "" if lines is control else difference(accuracies(lines), accuracies(control))
        rows.append([f"`{policy}`", cell(accuracies(lines).values()), gain, *shares(lines)])
    return table(["`--augment`", "accuracy", "against `randaugment`", "confident", "right"], rows)


def transfer(setting: Setting, rate: float, method: str, mix: str) -> Seeded:
    """Accuracies of one row of the transfer benchmark."""
    wanted = setting.images, setting.lr, rate, method, mix
    return accuracies(
        x
        for x in read_lines("transfer")
        if (x["set"], x["identity"]["train.lr"], x["rate"], x["method"], x["mix"]) == wanted
    )


def methods(setting: Setting) -> str:
    """Every method without mixing, against fine-tuning."""
    columns, rows = ["method"], []
    for rate in setting.rates:
        columns += [f"{rate:g} % of the labels", "against fine-tuning"]
    for method in METHODS:
        cells = [f"`{method}`"]
        for rate in setting.rates:
            values, control = (transfer(setting, rate, name, "none") for name in (method, METHODS[0]))
            cells += [cell(values.values()), "" if method == METHODS[0] else difference(values, control)]
        rows.append(cells)
    return table(columns, rows)


def mixing(setting: Setting) -> str:
    """Every mixing of the methods that take it, against fine-tuning without; a table for each rate."""
    if len(setting.rates) == 1:
        return mixing_at(setting, setting.rates[0])
    return "\n\n".join(f"{rate:g} % of the labels:\n\n{mixing_at(setting, rate)}" for rate in setting.rates)


def mixing_at(setting: Setting, rate: float) -> str:
    """One table of ``mixing``."""
    control = transfer(setting, rate, METHODS[0], "none")
    found = {(m, mix): transfer(setting, rate, m, mix) for m in METHODS for mix in MIXES}
    mixed = [method for method in METHODS if sum(bool(found[method, mix]) for mix in MIXES) > 1]
    columns = ["`--mix`", *(name for m in mixed for name in (f"`{m}`", "difference"))]
    rows = []
    for mix in MIXES:
        cells = [
            text
            for method in mixed
            for text in (cell(found[method, mix].values()), difference(found[method, mix], control))
        ]
        if any(cells):
            cells[1] = "" if mix == "none" else cells[1]
            rows.append([f"`{mix}`", *cells])
    return table(columns, rows)


def bounds() -> str:
    """Fine-tuning with 5 % of the labels, from random weights, and with all labels."""
    here, there = (Setting(f"CIFAR-10, 5 classes{end}", 0.03, ()) for end in (" to 5", ""))
    rows = [
        ("pre-trained", "5 %", transfer(here, 5, METHODS[0], "none")),
        ("random weights", "5 %", transfer(there, 5, METHODS[0], "none")),
        ("pre-trained", "all", transfer(here, 100, METHODS[0], "none")),
    ]
    return table(["`fine-tuning`", "labels", "accuracy"], [[*name, cell(v.values())] for *name, v in rows])


def overview() -> str:
    """What each value of --mix adds to the same algorithm without it, where all or most of them were run."""
    weak, short = SETTINGS["weak"], SETTINGS["short"]
    settings: dict[str, Callable[[str], Seeded]] = {
        "FlexMatch, CIFAR-10, 250 labels": partial(benchmark, "folder", "flexmatch"),
        "FixMatch, CIFAR-10, 250 labels": partial(benchmark, "folder", "fixmatch"),
        "FixMatch, digits, 40 labels": partial(benchmark, "digits", "fixmatch"),
        "fine-tuning, overfits": partial(transfer, weak, 1, "fine-tuning"),
        "Self-Tuning, overfits": partial(transfer, weak, 1, "self-tuning"),
        "fine-tuning, underfits": partial(transfer, short, 1, "fine-tuning"),
    }
    rows = []
    for name, run in settings.items():
        control = run("none")
        gains = [difference(run(mix), control) for mix in ("mixup", "dm", "as", "dm-as")]
        rows.append([name, cell(control.values()), *gains])
    return table(["accuracy %", "`none`", "`mixup`", "`dm`", "`as`", "`dm-as`"], rows)


def benchmark(data: str, algorithm: str, mix: str) -> Seeded:
    """Accuracies of one row of the semi-supervised benchmark."""
    return accuracies(semi_supervised(Run(data, algorithm, mix)))


def of_lines(name: str, rows: Callable[[Sequence[Line]], gpu_tables.Rows]) -> str:
    """One table of all lines of a file."""
    return table(*rows(read_lines(name)))


def supervised_mixing() -> str:
    """Mixers and terms in supervised training, against the same mixer alone."""
    lines, rows = read_lines("supervised_mixup"), []
    found: dict[str, Seeded] = {}
    for line in lines:
        found.setdefault(line["method"], {})[line["seed"]] = line["last"]
    for method, values in sorted(found.items(), key=lambda item: list(MIXERS).index(item[0].split(" ")[0])):
        mixer, _, term = method.partition(" + ")
        control = mixer if term else "none"
        name = MIXERS[mixer] + (f" + {TERMS.get(term, term)}" if term else "")
        gain = "" if method == "none" else difference(values, found[control], "+.2f")
        beside = "" if method == "none" else MIXERS[control]
        rows.append([name, cell(values.values(), ".2f"), gain, beside])
    return table(["method", "accuracy", "difference", "against"], rows)


FIVE, BIRDS = "CIFAR-10, 5 classes to 5", "5 birds"
SETTINGS = {
    "weak": Setting(FIVE, 0.03, (1,)),
    "strong": Setting(FIVE, 0.03, (5,)),
    "short": Setting(FIVE, 0.05, (1, 15)),
    "slow": Setting(FIVE, 0.01, (1,)),
    "birds": Setting(BIRDS, 0.03, (15, 30, 50)),
}
SEPARATE = (speed_tables, labeling_tables, suite_tables, body_tables, mix_head_tables)
GPU_PARTS = ("facts", "steps", "training")
TABLES: dict[str, Callable[[], str]] = {
    "overview": overview,
    "digits-alone": partial(alone, "digits"),
    "policies": policies,
    "digits-mixed": partial(with_mixing, "digits"),
    "cifar10-alone": partial(alone, "folder"),
    "cifar10-mixed": partial(with_mixing, "folder"),
    "cifar10-fixmatch": partial(controls, "folder", "fixmatch"),
    "cifar10-flexmatch": partial(controls, "folder", "flexmatch"),
    **{f"{name}-methods": partial(methods, setting) for name, setting in SETTINGS.items() if name != "slow"},
    **{f"{name}-mixing": partial(mixing, setting) for name, setting in SETTINGS.items()},
    "strong-bounds": bounds,
    "supervised-mixing": supervised_mixing,
    "auto": partial(of_lines, "auto", auto_tables.beside_probe),
    "auto-redrawn": partial(of_lines, "auto", partial(auto_tables.beside_probe, redrawn=True)),
    "recipe-memory": partial(of_lines, "recipe_memory", recipe_tables.of_memory),
    "votes": partial(of_lines, "v_pet", auto_tables.votes),
    **{name: partial(of_lines, "tail_study", rows) for name, rows in tail_tables.TABLES.items()},
    "defaults": partial(of_lines, "default_runs", default_tables.beside_probe),
    **{name: partial(of_lines, "head_study", rows) for name, rows in head_tables.TABLES.items()},
    **{f"gpu-{part}": partial(of_lines, "gpu_checks", vars(gpu_tables)[part]) for part in GPU_PARTS},
    **{name: partial(of_lines, *of) for made in SEPARATE for name, of in made.TABLES.items()},
}


def filled(text: str) -> str:
    """A page with its tables made anew."""

    def fill(match: re.Match[str]) -> str:
        return f"<!-- table: {match[1]} -->\n\n{TABLES[match[1]]()}\n\n<!-- end -->"

    return re.sub(r"<!-- table: (\S+) -->\n.*?<!-- end -->", fill, text, flags=re.DOTALL)


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the tables, or check them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="write nothing, fail where a page is old")
    options = parser.parse_args(arguments)
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    old = [page for page in pages if filled(page.read_text()) != page.read_text()]
    for page in old:
        print(page.relative_to(ROOT))
        if not options.check:
            page.write_text(filled(page.read_text()))
    if old and options.check:
        sys.exit("tables are not up to date: run python scripts/results_tables.py")


if __name__ == "__main__":
    main()
