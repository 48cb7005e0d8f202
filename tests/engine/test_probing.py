"""Strong views that learn while a network trains: what they learn is state of the run."""

import math
from typing import Any

import pytest
import torch
from algorithm_scene import CLASSES, altered_by, make, same_bits
from torch import Tensor, nn

from ssl_mix import Trainer
from ssl_mix.algorithms import ALGORITHMS, FixMatch
from ssl_mix.augment.views import Policy
from ssl_mix.engine.probing import learn, policy_of
from ssl_mix.errors import UserError


def trainer(policy: Policy = "ctaugment", **config: Any) -> Trainer:
    return make(FixMatch(unlabeled_ratio=2), data=altered_by(policy), steps=4, **config)


def take(trainer: Trainer, steps: int) -> Trainer:
    batches = trainer.feed.batches(trainer.step)
    for _ in range(steps):
        trainer.train_step(next(batches))
    return trainer


def rates(trainer: Trainer) -> Tensor:
    (found,) = trainer.state_dict()["learned"].values()
    return found


def test_a_resumed_run_goes_on_with_what_it_has_learned() -> None:
    whole, cut = take(trainer(), 4), take(trainer(), 2)
    assert (rates(cut) < 1).sum() > 5 and not torch.equal(rates(cut), rates(whole))
    later = trainer()
    later.load_state_dict(cut.state_dict())
    assert same_bits(take(later, 2).state_dict(), whole.state_dict())


def test_strong_views_follow_the_rates_and_others_do_not() -> None:
    one, other = trainer(), trainer()
    assert one.feed.policy is not None
    one.feed.policy.rates[:, 1:] = 0  # the mildest bin of most operations alone
    found = [each.feed.augment(next(each.feed.batches(0)), 0) for each in (one, other)]
    views = [half.unlabeled.views for half in found if half.unlabeled is not None]
    assert torch.equal(views[0]["weak"], views[1]["weak"])
    assert not torch.equal(views[0]["strong"], views[1]["strong"])


class Sure(nn.Module):
    """Says class 0 of every image."""

    def forward(self, images: Tensor) -> Tensor:
        return 100 * nn.functional.one_hot(torch.zeros(len(images), dtype=torch.int64), CLASSES).float()


def test_rates_learn_from_the_labels_of_the_step() -> None:
    here = trainer()
    raw = next(here.feed.batches(0))
    batch, policy = here.feed.augment(raw, 0), here.feed.policy
    assert policy is not None and batch.labeled.target is not None
    for label, falls in ((0, 0), (1, 12)):  # of 6 images, each altered twice
        alike = batch._replace(labeled=batch.labeled._replace(target=torch.full((6,), label)))
        learn(policy, here.data, Sure(), raw.labeled.images, alike, here.config, 0)
        assert policy.rates.log().sum().item() == pytest.approx(falls * math.log(0.99), rel=1e-4)


@pytest.mark.parametrize("policy", ["randaugment", "trivial", "augmix"])
def test_other_policies_have_no_state(policy: Policy) -> None:
    here = take(trainer(policy), 2)
    assert here.feed.policy is None and here.state_dict()["learned"] == {}


@pytest.mark.parametrize("policy", ["ctaugment", "trivial", "augmix"])
def test_a_policy_that_alters_no_view_is_refused(policy: Policy) -> None:
    with pytest.raises(UserError, match=f"`augment={policy}` says how strong views are made, and MixMatch"):
        policy_of(ALGORITHMS["mixmatch"](), altered_by(policy))
