"""The registry: one shape for all loaders, and options that follow from their signatures."""

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ssl_mix import UserError
from ssl_mix.datasets import DATASETS, load_digits_data, load_folder
from ssl_mix.datasets.registry import takes
from ssl_mix.runs.data_options import ARGUMENTS, LOADING, PATHS, DataOptions


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for part in ("train", "test"):
        for name in ("cat", "dog"):
            (tmp_path / part / name).mkdir(parents=True)
            for number in range(3):
                noise = np.random.default_rng([len(part), len(name), number]).integers(0, 256, (20, 24, 3))
                Image.fromarray(noise.astype(np.uint8)).save(tmp_path / part / name / f"{number}.png")
    return tmp_path


@pytest.mark.parametrize("name", DATASETS)
def test_every_loader_takes_the_folder_for_data_and_options_by_name(name: str) -> None:
    first, *others = inspect.signature(DATASETS[name]).parameters.values()
    assert first.name == "data_dir" and first.kind is first.POSITIONAL_OR_KEYWORD
    known = {*LOADING, *ARGUMENTS.values(), "progress"}
    for parameter in others:
        assert parameter.kind is parameter.KEYWORD_ONLY and parameter.default is not parameter.empty
        assert parameter.name in known
    assert (inspect.getdoc(DATASETS[name]) or "").partition("\n")[0].endswith(".")


@pytest.mark.parametrize("option", LOADING)
def test_every_option_is_taken_by_some_loader_and_by_no_other(option: str, tmp_path: Path) -> None:
    takers = {name for name in DATASETS if takes(name, ARGUMENTS.get(option, option))}
    assert takers
    value: Any = {
        "download": True,
        "extra": True,
        "fit": "squash",
        "memory_gb": 1.0,
        "cache_images": "x",
    }.get(option, 64)
    for name in DATASETS.keys() - takers:
        given: dict[str, Any] = {option: str(value) if option in PATHS else value}
        with pytest.raises(UserError, match=f"`data={name}` takes no `{option}`, only these do: ") as caught:
            DataOptions(data=name, data_dir=str(tmp_path), **given).load()
        assert set(str(caught.value).partition("do: ")[2].split(", ")) == takers


def test_digits_ignore_the_folder() -> None:
    assert DATASETS["digits"](Path("nowhere")).fingerprint() == load_digits_data().fingerprint()


def test_a_folder_for_data_holds_train_and_test(images: Path) -> None:
    expected = load_folder(images / "train", images / "test", image_size=32).fingerprint()
    assert DATASETS["folder"](images).fingerprint() == expected
    assert DataOptions(data="folder", data_dir=str(images)).load().fingerprint() == expected
    named = DataOptions(train=str(images / "train"), test=str(images / "test"), data_dir="nowhere")
    assert named.load().fingerprint() == expected


def test_a_test_part_is_not_taken_from_the_folder_for_data_beside_a_named_training_part(images: Path) -> None:
    assert DataOptions(train=str(images / "train"), data_dir=str(images)).load().test is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "nothing to learn from: give `data=digits`"),
        ({"data": "cifar"}, "data must be one of digits, caltech-mini, cifar10, .*Did you mean 'cifar10'"),
        (
            {"data": "folder", "data_dir": "nowhere"},
            "`data=folder` needs `train=DIR` .*nowhere/train is none",
        ),
        ({"unlabeled": "a"}, "`unlabeled` needs `labeled` beside it"),
        (
            {"train": "a", "labeled": "b"},
            "`train` holds all training images: leave out `labeled`, or `train` itself",
        ),
        (
            {"train": "a", "labeled": "b", "unlabeled": "c"},
            "`train` holds all training images: leave out `labeled`, or `train` itself",
        ),
        (
            {"train": "a", "table": "b"},
            "`train` holds all training images: leave out `table`, or `train` itself",
        ),
        ({"data": "digits", "labeled": "a"}, "`data=digits` takes no `labeled`, only these do: folder"),
    ],
)
def test_what_contradicts_itself(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        DataOptions(**given).load()


def test_images_in_files_are_those_that_can_be_fitted() -> None:
    found = {name for name in DATASETS if DataOptions(data=name).in_files}
    assert found == {"cub200", "stanford-cars", "fgvc-aircraft", "oxford-pets", "oxford-flowers", "folder"}
    assert DataOptions(train="somewhere").in_files
