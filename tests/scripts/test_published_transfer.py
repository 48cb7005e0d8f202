"""Published accuracies of transfer, compared with numbers typed in from the sources a second time."""

import importlib
from pathlib import Path
from types import ModuleType

import pytest

from ssl_mix.algorithms import ALGORITHMS

SCRIPTS = Path(__file__).parents[2] / "scripts"
TEN, BEST, UNSAID = "ten crops", "center crop, epoch best on the test part", "step and crops not said"


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(SCRIPTS)
    return importlib.import_module("published_transfer")


@pytest.mark.parametrize(
    ("data", "rate", "method", "source", "metric", "mean", "deviation"),
    [
        ("cub200", 15, "fine-tuning", "Wang", TEN, 45.25, 0.12),
        ("stanford-cars", 30, "fine-tuning", "Wang", TEN, 60.63, 0.18),
        ("fgvc-aircraft", 50, "fine-tuning", "Wang", TEN, 67.93, 0.28),
        ("fgvc-aircraft", 100, "l2-sp", "Wang", TEN, 80.98, None),
        ("stanford-cars", 15, "delta", "Wang", TEN, 39.37, None),
        ("fgvc-aircraft", 15, "bss", "Wang", TEN, 40.41, None),
        ("cub200", 30, "co-tuning", "Wang", TEN, 66.47, 0.17),
        ("stanford-cars", 50, "mean-teacher", "Wang", TEN, 74.24, None),
        ("fgvc-aircraft", 30, "fixmatch", "Wang", TEN, 71.35, None),
        ("cub200", 100, "self-tuning", "Wang", TEN, 83.95, 0.18),
        ("stanford-cars", 15, "self-tuning", "Wang", TEN, 72.50, 0.45),
        ("fgvc-aircraft", 15, "self-tuning", "Wang", TEN, 64.11, 0.32),
        ("fgvc-aircraft", 50, "self-tuning", "thuml/Self-Tuning, vis", TEN, 84.58, None),
        ("cub200", 50, "self-tuning", "thuml/Self-Tuning, vis", TEN, 79.44, None),
        ("stanford-cars", 15, "fine-tuning", "thuml/Self-Tuning issue 6", UNSAID, 53.09, None),
        ("fgvc-aircraft", 15, "fine-tuning", "thuml/Self-Tuning issue 6", UNSAID, 53.65, None),
        ("cub200", 50, "fine-tuning+dm-as", "Liu", UNSAID, 71.87, 0.23),
        ("fgvc-aircraft", 15, "co-tuning+dm-as", "Liu", UNSAID, 49.27, 0.83),
        ("stanford-cars", 50, "self-tuning+mixup", "Liu", UNSAID, 88.66, 0.21),
        ("cub200", 15, "bi-tuning", "TLlib", BEST, 55.8, None),
        ("stanford-cars", 30, "stochnorm", "TLlib", BEST, 68.1, None),
        ("fgvc-aircraft", 100, "fine-tuning", "TLlib", BEST, 80.2, None),
        ("fgvc-aircraft", 30, "delta", "TLlib", BEST, 61.9, None),
        ("cub200", 50, "stochnorm", "thuml/StochNorm", TEN, 72.05, None),
    ],
)
def test_numbers_of_the_sources(
    module: ModuleType,
    data: str,
    rate: int,
    method: str,
    source: str,
    metric: str,
    mean: float,
    deviation: float | None,
) -> None:
    entries = module.published_transfer(data, float(rate), method)
    found = [entry for entry in entries if entry.source.startswith(source)]
    assert [(entry.mean, entry.deviation) for entry in found] == [(mean, deviation)]
    assert found[0].metric.startswith(metric)


@pytest.mark.parametrize("rate", [15, 30, 50])
def test_cells_that_look_copied_are_marked(module: ModuleType, rate: int) -> None:
    """30 and 50 % of Self-Tuning + Mixup are the same on two data sets."""
    cub, aircraft = (
        module.published_transfer(data, rate, "self-tuning+mixup") for data in ("cub200", "fgvc-aircraft")
    )
    marked = ["looks like a copying error" in entry.source for entry in (*cub, *aircraft)]
    assert marked == [cub[0].mean == aircraft[0].mean] * 2
    (cars,) = module.published_transfer("stanford-cars", rate, "self-tuning+mixup")
    assert cars.source.endswith("(the paper does not say which images are mixed)")


def test_gains_that_lie_below_a_better_trained_baseline_are_marked(module: ModuleType) -> None:
    for data in ("cub200", "fgvc-aircraft", "stanford-cars"):
        *_, again, _ = module.published_transfer(data, 15, "fine-tuning")
        for method in ("fine-tuning+dm-as", "co-tuning+dm-as"):
            (entry,) = module.published_transfer(data, 15, method)
            assert ("below plain fine-tuning" in entry.source) == (entry.mean < again.mean)


def test_nothing_known(module: ModuleType) -> None:
    assert module.published_transfer("cub200", 20, "fine-tuning") == []
    assert module.published_transfer("cub200", 15.5, "fine-tuning") == []
    assert module.published_transfer("oxford-pets", 15, "fine-tuning") == []
    assert module.published_transfer("cub200", 15, "self-tuning+dm-as") == []
    assert module.published_transfer("cub200", 100, "fixmatch") == []


def test_every_table_is_whole(module: ModuleType) -> None:
    """A number for each rate of each row, known names, a metric, more accuracy with more labels, and remarks
    that belong to a row."""
    for table in module.TABLES:
        assert table.source and table.metric
        for methods in table.rows.values():
            for method, row in methods.items():
                assert method.partition("+")[0] in ALGORITHMS and len(row.split()) == len(table.rates)
                means = [float(cell.partition("+-")[0]) for cell in row.split() if cell != "-"]
                assert means == sorted(means) and means[0] > 0 and means[-1] < 100
        rows = {
            (data, method, rate) for data, row in table.rows.items() for method in row for rate in table.rates
        }
        assert set(table.remarks) <= rows | {method for _, method, _ in rows}
