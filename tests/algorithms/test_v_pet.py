"""V-PET against float64 NumPy, and the votes of runs."""

from pathlib import Path

import numpy as np
import pytest
import torch
from neighbor_scene import cross_entropy, hard
from ssl_scene import CLASSES, LABELED, SHAPE, UNLABELED, Recorder, flat

import ssl_mix
from ssl_mix.algorithms import VPet
from ssl_mix.errors import UserError
from ssl_mix.runs.folder import SPLIT
from ssl_mix.types import Batch, Nets, Samples, Step, Task


def voted(votes: list[list[int]]) -> tuple[VPet, Recorder]:
    """The algorithm with votes on the first images."""
    algorithm = VPet(teachers=("a", "b", "c"), unlabeled_weight=0.5)
    net = Recorder(np.random.default_rng(0), 2.0)
    algorithm.extend(net, Task(CLASSES, UNLABELED, SHAPE, LABELED))
    every = torch.full((UNLABELED, 3), -1)
    every[: len(votes)] = torch.tensor(votes)
    algorithm.cast(every)
    return algorithm, net


def test_the_loss_is_the_cross_entropy_to_the_shares_of_the_votes() -> None:
    algorithm, net = voted([[0, 0, 2], [4, 4, 4], [1, -1, 3], [-1, -1, -1]])
    draw = np.random.default_rng(1)
    x, weak, strong = (draw.standard_normal((n, *SHAPE)) for n in (5, 4, 4))
    labels = draw.integers(CLASSES, size=5)
    place = [3, 0, 1, 2]
    batch = Batch(
        Samples({"weak": torch.from_numpy(x)}, None, torch.from_numpy(labels)),
        Samples({"weak": torch.from_numpy(weak), "strong": torch.from_numpy(strong)}, torch.tensor(place)),
    )
    output = algorithm(Nets(net, net), batch, Step(1, 2))
    shares = np.zeros((4, CLASSES))
    shares[0, [0, 2]], shares[1, 4], shares[2, [1, 3]] = (2 / 3, 1 / 3), 1, (1 / 2, 1 / 2)
    target = shares[place]
    labeled = cross_entropy(flat(x) @ net.weights.T, hard(labels)).mean()
    both = [cross_entropy(flat(view) @ net.weights.T, target) for view in (weak, strong)]
    assert output.loss.item() == pytest.approx(labeled + 0.5 * np.mean(both), rel=1e-6)
    assert output.pseudo is not None and output.pseudo.mask.tolist() == [0, 1, 1, 1]
    assert output.pseudo.labels[1:3].tolist() == [0, 4]


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
