"""What a seed may be, wherever one comes in: a whole number from 0 to 2^63 - 1."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import ssl_mix
from ssl_mix.cli.main import main
from ssl_mix.datasets import ShuffledIndex, choose_split
from ssl_mix.errors import UserError
from ssl_mix.evaluation import bootstrap_intervals
from ssl_mix.labeling import Pool, out_of_sample, suggest, typiclust
from ssl_mix.randomness import stream_generator
from ssl_mix.runs.data_options import DataOptions
from ssl_mix.segmentation import SegmentationOptions
from ssl_mix.suites import SuiteOptions
from ssl_mix.transfer.relationship import learn_relationship
from ssl_mix.transfer.starts import probe

IMAGES, LABELS = np.zeros((4, 8, 8), np.uint8), np.array([0, 1, 0, 1])
ROWS, CLASSES = torch.eye(4), torch.tensor([0, 1, 0, 1])
LARGEST = 2**63 - 1
WRONG: list[Any] = [-1, 2**63, 1.5, True]

DOORS: dict[str, Callable[[Any], Any]] = {
    "TrainConfig": lambda seed: ssl_mix.TrainConfig(seed=seed),
    "DataOptions": lambda seed: DataOptions(split_seed=seed),
    "SegmentationOptions": lambda seed: SegmentationOptions(images=".", masks=".", seed=seed),
    "SuiteOptions": lambda seed: SuiteOptions(suite_seed=seed).check(),
    "choose_split": lambda seed: choose_split(CLASSES, 2, seed=seed, classes=("a", "b")),
    "ShuffledIndex": lambda seed: ShuffledIndex(range(4), 2, seed=seed, stream="labeled").batch(0),
    "bootstrap_intervals": lambda seed: bootstrap_intervals(ROWS, CLASSES, resamples=2, seed=seed),
    "typiclust": lambda seed: typiclust(ROWS, 2, seed=seed),
    "suggest": lambda seed: suggest(Pool(ROWS, ROWS), 2, "random", seed=seed),
    "out_of_sample": lambda seed: out_of_sample(ROWS, CLASSES, 2, seed=seed),
    "probe": lambda seed: probe(ROWS, CLASSES, 2, seed=seed),
    "learn_relationship": lambda seed: learn_relationship(ROWS, CLASSES, 2, method="direct", seed=seed),
    "streams": lambda seed: stream_generator(seed, "mixing"),
}
HANDED: dict[str, Callable[[Any, Path], Any]] = {
    "seed": lambda seed, out: ssl_mix.fit("supervised", (IMAGES, LABELS), out=out, seed=seed),
    "split_seed": lambda seed, out: ssl_mix.fit("supervised", (IMAGES, LABELS), out=out, split_seed=seed),
    "seed in auto": lambda seed, out: ssl_mix.auto((IMAGES, LABELS), out=out, net="small-cnn", seed=seed),
    "random_state": lambda seed, out: ssl_mix.SemiSupervisedClassifier(
        "supervised", random_state=seed, options={"out": out}
    ).fit(IMAGES, LABELS),
}


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
def test_every_seed_that_generators_take_and_no_other(door: Callable[[Any], Any]) -> None:
    for seed in (0, LARGEST, np.int64(3)):
        door(seed)
    for seed in WRONG:
        with pytest.raises(UserError, match="seed must be a whole number"):
            door(seed)


@pytest.mark.parametrize("name", HANDED)
@pytest.mark.parametrize("seed", [-1, 2**63])
def test_a_run_is_refused_before_it_begins(name: str, seed: int, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"{name.split()[0]} must be a whole number from 0 to 2.63 - 1, got"):
        HANDED[name](seed, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("train fixmatch --data digits --labels 40 --out run --seed -1", "seed"),
        ("train fixmatch --data digits --labels 40 --out run --split-seed -1", "split_seed"),
        ("auto --data digits --labels 40 --net small-cnn --out run --seed -1", "seed"),
        ("show-mixers --data digits --out a.png --seed -1", "seed"),
        ("suggest --unlabeled . --n 2 --out a.csv --seed -1", "seed"),
        ("audit --data . --out a.csv --seed -1", "seed"),
    ],
)
def test_commands(
    words: str,
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="2"):
        main(words.split())
    assert f"ssl-mix: {name} must be a whole number from 0 to 2^63 - 1, got -1" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
