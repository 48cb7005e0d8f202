"""Several looks at an image, against loops, and in runs that train a head alone."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ssl_mix.errors import UserError
from ssl_mix.recipes.build import build_run
from ssl_mix.runs.answered import evaluate
from ssl_mix.runs.session import reopen, start
from ssl_mix.runs.trained import load_trained
from ssl_mix.transfer.head_net import HeadNet, OnBody, standardized
from ssl_mix.transfer.looks import Look, averaged_features, fitting_looks, looks_in, looks_note

BOTH = (Look(), Look(1.25, mirrored=True))
OPTIONS: dict[str, Any] = {
    "data": "digits",
    "net": "small-cnn",
    "pretrained": "none",
    "labels_per_class": 2,
    "tune": "head",
    "head_start": "probe",
    "feature_views": 0,
    "batch_size": 4,
    "steps": 1,
    "threads": 1,
}


class Corners(nn.Module):
    """Features that tell where things are: the first and the last column of the first row, and the width."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3, 2)

    def features(self, x: Tensor) -> Tensor:
        return torch.stack((x[:, 0, 0, 0], x[:, 0, 0, -1], torch.full((len(x),), float(x.shape[3]))), dim=1)


class OneSize(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(16, 3), nn.Linear(3, 2)

    def features(self, x: Tensor) -> Tensor:
        found: Tensor = self.body(x.flatten(1))
        return found


def test_features_are_means_over_the_image_and_its_enlarged_mirror_image() -> None:
    images = torch.arange(32.0).reshape(2, 1, 4, 4)
    found = averaged_features(Corners(), images, BOTH)
    first, last = images[:, 0, 0, 0].numpy(), images[:, 0, 0, 3].numpy()
    middle = (first + last) / 2  # corners of an enlarged image are those of the image
    np.testing.assert_allclose(found.numpy(), np.stack((middle, middle, np.full(2, 4.5)), axis=1))


def test_training_looks_once_and_the_state_holds_the_looks() -> None:
    net = OnBody(Corners(), HeadNet(3, 2), torch.ones(3), BOTH)
    images = torch.rand(2, 1, 4, 4)
    once, twice = (
        standardized(averaged_features(net.body, images, part), net.center) for part in (BOTH[:1], BOTH)
    )
    assert torch.equal(net.train().features(images), once)
    assert torch.equal(net.eval().features(images), twice) and not torch.equal(once, twice)
    assert looks_in(net.state_dict()["looked"]) == BOTH


@pytest.mark.parametrize(
    ("net", "flip", "looks"),
    [
        (Corners(), True, BOTH),
        (Corners(), False, (Look(), Look(1.25))),
        (OneSize(), True, (Look(), Look(mirrored=True))),
        (OneSize(), False, (Look(),)),
    ],
)
def test_what_a_network_cannot_see_is_left_out_and_told(
    net: nn.Module, flip: bool, looks: tuple[Look, ...]
) -> None:
    assert fitting_looks(net, (1, 4, 4), flip=flip, trained=None) == looks
    note = looks_note(looks)
    assert ("enlarged" in note, "and mirrored" in note or "is and mirrored" in note) == (
        any(look.scale != 1 for look in looks),
        any(look.mirrored for look in looks),
    )
    assert ("no effect" in note) == (len(looks) == 1)


@pytest.mark.parametrize(("trained", "scale"), [(3, 1.25), (4, 1.25), (6, 1.5), (5.5, 1.375), (99, 1.75)])
def test_small_images_are_enlarged_towards_what_the_network_knows(trained: Any, scale: float) -> None:
    assert fitting_looks(Corners(), (1, 4, 4), flip=True, trained=trained)[1] == Look(scale, mirrored=True)


def test_a_run_learns_and_answers_by_them_and_its_probe_by_one(tmp_path: Path) -> None:
    once, twice = (
        start(build_run("fine-tuning", {**OPTIONS, "view": "weak", "tta": tta}).run, tmp_path / str(tta))
        for tta in (False, True)
    )
    assert any("enlarged 1.25 times" in note for note in twice.notes)
    assert once.baseline["probe_accuracy"] == twice.baseline["probe_accuracy"]
    for session in (once, twice):
        list(session.records())
    trained = load_trained(tmp_path / "True")
    assert isinstance(trained.net, OnBody) and trained.net.looks == (Look(), Look(1.25))
    found = twice.trainer.evaluate()["test_accuracy"]
    assert evaluate(trained).accuracy == pytest.approx(found, abs=0.005)
    images = torch.rand(3, 1, 8, 8)
    assert not torch.allclose(trained.net(images), load_trained(tmp_path / "False").net(images), atol=1e-3)
    tables = [reopen(tmp_path / "True").trainer.data.augmentation]
    (tmp_path / "True" / "features.pt").unlink()
    tables.append(reopen(tmp_path / "True").trainer.data.augmentation)
    assert torch.equal(*(views.table for views in tables))  # type: ignore[attr-defined]


def test_it_belongs_to_a_head_alone_and_strong_views_need_some(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="`tta` averages features .* take `tune=head`"):
        build_run("fine-tuning", {**OPTIONS, "tune": "all", "tta": True})
    with pytest.raises(UserError, match="FixMatch learns from strong views, and `feature_views=0` has none"):
        start(build_run("fixmatch", OPTIONS).run, tmp_path / "run")
