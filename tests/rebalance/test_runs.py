"""Which head answers where a run with an add-on is used."""

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from algorithm_scene import make, networks, random_batch, step

from ssl_mix import fit, load
from ssl_mix.algorithms import FixMatch
from ssl_mix.passes import backbone, logits_of
from ssl_mix.rebalance import Rebalance
from ssl_mix.rebalance.addon import ThroughBaseHead
from ssl_mix.targets import Targets


def test_a_run_that_is_loaded_answers_by_the_second_head(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    x, y = draw.integers(0, 256, (24, 8, 8)).astype(np.uint8), np.repeat([0, 1], [18, 6])
    options = {"steps": 3, "batch_size": 4, "unlabeled_ratio": 1, "eval_every": 3, "rebalance": "tras"}
    trained = fit("fixmatch", (x, y), x, (x, y), out=tmp_path / "run", **options)
    for run in (trained, load(tmp_path / "run")):
        net = run.net
        images = run.augmentation.views(torch.from_numpy(x)[:, None], ("plain",), torch.Generator())["plain"]
        with torch.no_grad():
            features = backbone(net).features(images)
            second, first = (net.get_submodule(name)(features) for name in ("head", "base_head"))
        found = run.predict_proba(x)
        np.testing.assert_allclose(found, second.softmax(dim=1), rtol=1e-4, atol=1e-6)
        assert not np.allclose(found, first.softmax(dim=1), rtol=1e-3)
        share = (second.argmax(dim=1).numpy() == y).mean()
        assert run.evaluate((x, y)).accuracy == pytest.approx(share)


@pytest.mark.parametrize("name", get_args(Rebalance)[1:])
def test_the_algorithm_itself_is_the_same_within_an_add_on(name: Rebalance) -> None:
    """Its labeled term, which no add-on touches, and the running statistics are those of FixMatch alone."""
    found = []
    for addon in ("none", name):
        algorithm = FixMatch(targets=Targets(rebalance=addon))
        nets = networks(algorithm)
        output = algorithm(nets, random_batch(algorithm), step())
        statistics = {k: v for k, v in nets.student.state_dict().items() if "running" in k}
        found.append((output.metrics["loss/labeled"], statistics))
    (loss, first), (other, second) = found
    assert loss == other and all(torch.equal(first[key], second[key]) for key in first)


def test_the_view_through_the_first_head_is_the_network_in_all_else() -> None:
    algorithm = FixMatch(targets=Targets(rebalance="abc"))
    net = make(algorithm, steps=1).student
    net.projector = torch.nn.Linear(2, 2)
    view, images = ThroughBaseHead(net), torch.randn(3, 1, 8, 8)
    assert (
        view.training and view.get_submodule("projector") is net.projector and view.projector is net.projector
    )
    assert view.head is net.get_submodule("base_head") and backbone(view).head is view.head
    with torch.no_grad():
        net.eval()
        expected = view.head(backbone(net).features(images))
        torch.testing.assert_close(logits_of(view, images), expected)
