"""The votes of V-PET."""

from pathlib import Path

import numpy as np
import pytest
import torch
from ssl_scene import CLASSES, LABELED, SHAPE, UNLABELED, Recorder

import ssl_mix
from ssl_mix.algorithms import VPet
from ssl_mix.errors import UserError
from ssl_mix.runs.folder import SPLIT
from ssl_mix.types import Nets, Task


def voted(votes: list[list[int]]) -> tuple[VPet, Recorder]:
    """The algorithm with votes on the first images."""
    algorithm = VPet(teachers=("a", "b", "c"), unlabeled_weight=0.5)
    net = Recorder(np.random.default_rng(0), 2.0)
    algorithm.extend(net, Task(CLASSES, UNLABELED, SHAPE, LABELED))
    every = torch.full((UNLABELED, 3), -1)
    every[: len(votes)] = torch.tensor(votes)
    algorithm.cast(every)
    return algorithm, net


def test_votes_of_more_classes_than_16_bits_number_are_kept() -> None:
    algorithm = VPet(teachers=("a",))
    algorithm.extend(Recorder(np.random.default_rng(0), 2.0), Task(40_000, 2, SHAPE, LABELED))
    algorithm.cast(torch.tensor([[39_999], [-1]]))
    assert algorithm.votes.tolist() == [[39_999], [-1]]


def test_votes_that_are_none_are_refused() -> None:
    algorithm, net = voted([[0, 0, 0]])
    with pytest.raises(UserError, match=r"expected votes of \(40, 3\).*got \(40, 2\)"):
        algorithm.cast(torch.zeros(UNLABELED, 2))
    with pytest.raises(UserError, match="classes from 0 to 4"):
        algorithm.cast(torch.full((UNLABELED, 3), CLASSES))
    algorithm.cast(torch.full((UNLABELED, 3), -1))
    with pytest.raises(UserError, match="nobody has voted"):
        algorithm.begin(Nets(net, net), [])


def test_runs_vote_by_the_names_of_their_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    images = generator.integers(0, 40, size=(30, 16, 16, 3), dtype=np.uint8)
    kinds = np.arange(30) % 3
    images[np.arange(30), :, :, kinds] += 180  # a class is a color
    labels = np.where(np.arange(30) < 9, np.array(["blue", "green", "red"])[kinds], "")
    turned = np.where(labels == "red", "blue", np.where(labels == "blue", "red", labels))
    options = {"net": "small-cnn", "steps": 12, "batch_size": 9, "lr": 0.1, "image_size": 16}
    for name, told in (("right", labels), ("wrong", turned)):
        shown = (images[:9], told[:9].tolist())
        ssl_mix.fit("supervised", labeled=shown, unlabeled=images[9:], out=name, **options)
    options["labeled"], options["unlabeled"] = (images[:9], labels[:9].tolist()), images[9:]
    trained = ssl_mix.fit("v-pet", teachers=["right", "wrong"], out="student", **options | {"steps": 2})
    votes = trained.state["algorithm"]["votes"]
    split = ssl_mix.datasets.Split.load(Path("student") / SPLIT)
    for column, name in enumerate(("right", "wrong")):
        names = ssl_mix.load(name).predict(images[list(split.unlabeled)])
        assert [trained.classes[vote] for vote in votes[:, column]] == names
    assert (votes[:, 0] != votes[:, 1]).any()
    with pytest.raises(UserError, match="name their folders"):
        ssl_mix.fit("v-pet", out="none", **options)
    with pytest.raises(UserError, match="3 channels of 16 pixels, the data 3 of 32"):
        ssl_mix.fit("v-pet", teachers=["right"], out="none", **options | {"image_size": 32})
    assert not Path("none").exists()
