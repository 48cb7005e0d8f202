"""Published error rates, compared with numbers typed in from the sources a second time."""

import importlib
from pathlib import Path
from types import ModuleType

import pytest

from ssl_mix.algorithms import ALGORITHMS

SCRIPTS = Path(__file__).parents[2] / "scripts"
LAST_20, BEST = "median of the last 20 checkpoints", "best test checkpoint"


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(SCRIPTS)
    return importlib.import_module("published")


@pytest.mark.parametrize(
    ("dataset", "labels", "algorithm", "source", "metric", "net", "mean", "deviation"),
    [
        ("cifar10", 250, "fixmatch", "TorchSSL", BEST, "WRN-28-2", 4.86, 0.05),
        ("cifar10", 40, "uda", "TorchSSL", BEST, "WRN-28-2", 10.62, 3.75),
        ("cifar10", 40, "mixmatch", "TorchSSL", BEST, "WRN-28-2", 36.19, 6.48),
        ("cifar10", 4000, "remixmatch", "TorchSSL", BEST, "WRN-28-2", 4.84, 0.01),
        ("cifar10", 250, "mean-teacher", "TorchSSL", BEST, "WRN-28-2", 37.46, 3.30),
        ("cifar100", 2500, "flexmatch", "TorchSSL", BEST, "WRN-28-8", 26.49, 0.20),
        ("cifar100", 400, "pseudo-label", "TorchSSL", BEST, "WRN-28-8", 87.45, 0.85),
        ("cifar100", 10000, "pi-model", "TorchSSL", BEST, "WRN-28-8", 36.65, 0.0),
        ("cifar100", 2500, "vat", "TorchSSL", BEST, "WRN-28-8", 46.84, 0.79),
        ("stl10", 1000, "fixmatch", "TorchSSL", BEST, "WRN-37-2 (var)", 6.25, 0.33),
        ("svhn", 40, "uda", "TorchSSL", BEST, "WRN-28-2", 5.12, 4.27),
        ("cifar10", 40, "supervised", "USB", BEST, "WRN-28-2", 77.58, 1.82),
        ("cifar10", 40, "mean-teacher", "USB", BEST, "WRN-28-2", 76.93, 2.29),
        ("cifar10", 40, "remixmatch", "USB", BEST, "WRN-28-2", 14.50, 2.58),
        ("cifar10", 4000, "freematch", "USB", BEST, "WRN-28-2", 4.14, 0.19),
        ("cifar100", 400, "softmatch", "USB", BEST, "WRN-28-2", 49.64, 1.46),
        ("cifar100", 10000, "mixmatch", "USB", BEST, "WRN-28-2", 32.10, 0.13),
        ("cifar100", 2500, "uda", "USB", BEST, "WRN-28-2", 34.37, 0.28),
        ("svhn", 1000, "adamatch", "USB", BEST, "WRN-28-2", 2.04, 0.02),
        ("cifar100", 400, "dash", "USB", BEST, "WRN-28-2", 53.98, 2.31),
        ("svhn", 250, "flexmatch", "USB", BEST, "WRN-28-2", 5.02, 1.2),
        ("cifar10", 40, "fixmatch", "Sohn", LAST_20, "WRN-28-2", 13.81, 3.37),
        ("cifar100", 10000, "fixmatch", "Sohn", LAST_20, "WRN-28-8", 22.60, 0.12),
        ("cifar10", 250, "fixmatch+dm-as", "Liu", BEST, "WRN-28-2", 4.77, 0.09),
        ("cifar100", 400, "fixmatch+dm-as", "Liu", BEST, "WRN-28-8", 40.2, None),
    ],
)
def test_numbers_of_the_sources(
    module: ModuleType,
    dataset: str,
    labels: int,
    algorithm: str,
    source: str,
    metric: str,
    net: str,
    mean: float,
    deviation: float | None,
) -> None:
    found = [e for e in module.published(dataset, labels, algorithm) if e.source.startswith(source)]
    assert [(entry.net, entry.mean, entry.deviation) for entry in found] == [(net, mean, deviation)]
    assert found[0].metric.startswith(metric)


def test_a_number_without_a_consistency_loss_is_marked(module: ModuleType) -> None:
    torchssl, usb = module.published("cifar100", 400, "mean-teacher")
    assert usb.source == "USB results/classic_cv.csv (of a version whose consistency loss was zero)"
    assert torchssl.source == "TorchSSL README"


def test_the_three_sources_of_fixmatch(module: ModuleType) -> None:
    assert [entry.mean for entry in module.published("cifar10", 250, "fixmatch")] == [4.86, 4.97, 5.07]


def test_nothing_known(module: ModuleType) -> None:
    assert module.published("cifar10", 41, "fixmatch") == []
    assert module.published("digits", 40, "fixmatch") == []
    assert module.published("cifar10", 40, "mixmatch+dm-as") == []


def test_every_table_is_whole(module: ModuleType) -> None:
    """A number for each column of each row, known names, a metric, and errors within 0 to 100."""
    for table in module.TABLES:
        assert table.source and "checkpoint" in table.metric and set(table.remarks) <= set(table.rows)
        columns = [column.rsplit("-", 1) for column in table.columns.split()]
        assert {dataset for dataset, _ in columns} == set(table.nets) or table.nets is module.LARGE_ON_100
        for algorithm, row in table.rows.items():
            assert algorithm.removesuffix("+dm-as") in ALGORITHMS and len(row.split()) == len(columns)
            for dataset, labels in columns:
                entries = module.published(dataset, int(labels), algorithm)
                assert entries and all(0 < entry.mean < 100 and entry.metric for entry in entries)
                assert all(entry.deviation is None or 0 <= entry.deviation < 20 for entry in entries)
