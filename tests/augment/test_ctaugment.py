"""CTAugment against its published equations, one image and one bin after the other in float64."""

import numpy as np
import pytest
import torch

from ssl_mix.augment import CTAugment
from ssl_mix.augment.ctaugment import BINS, MOST, POOL
from ssl_mix.augment.pools import EVERY
from ssl_mix.errors import UserError


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def bins_of(row: int) -> int:
    return BINS.get(POOL[row], MOST)


def test_rates_follow_the_answers_one_after_the_other() -> None:
    policy = CTAugment(decay=0.9)
    slots = policy.sample(50, 8, 8, seeded(), probe=True)[1]
    slots[:, ::3] = 40  # many images in one bin, so that their order counts
    answers = torch.rand(50, 3, generator=seeded(1)).softmax(1)
    labels = torch.randint(3, (50,), generator=seeded(2))
    expected = np.ones(len(POOL) * MOST)
    for image in range(50):
        truth = np.eye(3)[int(labels[image])]
        match = 1 - 0.5 * np.abs(answers[image].double().numpy() - truth).sum()
        for slot in slots[:, image].tolist():
            expected[slot] = expected[slot] * 0.9 + match * (1 - 0.9)
    policy.update(slots, answers, labels)
    np.testing.assert_allclose(policy.rates.flatten().numpy(), expected, rtol=1e-6)
    assert (policy.rates.flatten() < 1).sum() == len(slots.unique())


def test_bins_are_drawn_in_proportion_to_rates_above_the_threshold() -> None:
    policy, row = CTAugment(), POOL.index("rotate")
    policy.rates.copy_(torch.rand(policy.rates.shape, generator=seeded(3)) * 0.3 + 0.7)
    rate = policy.rates[row].double().numpy() + (1 - 0.99)
    p = rate / rate.max()
    p[p < 0.8] = 0
    assert (p == 0).any()
    np.testing.assert_allclose(policy.shares()[row].numpy(), p, rtol=1e-12)
    choices, slots = policy.sample(100_000, 8, 8, seeded(4))
    here = choices.operation == EVERY.index("rotate")
    found = np.bincount(slots[here].numpy() - row * MOST, minlength=MOST) / int(here.sum())
    np.testing.assert_allclose(found, p / p.sum(), atol=0.01)
    assert (found[p == 0] == 0).all()
    level = (choices.magnitude[here] + 45) / 90
    assert torch.equal((level * MOST).floor().long(), slots[here] - row * MOST)


@pytest.mark.parametrize("probe", [False, True])
def test_operations_are_drawn_alike_and_no_bin_beyond_theirs(probe: bool) -> None:
    choices, slots = CTAugment().sample(60_000, 8, 8, seeded(5), probe=probe)
    rows, bins = slots // MOST, slots % MOST
    assert choices.operation.shape == (2, 60_000)
    np.testing.assert_allclose(rows.flatten().bincount() / 120_000, np.full(19, 1 / 19), atol=0.003)
    for row in range(len(POOL)):
        counts = bins[rows == row].bincount()
        assert len(counts) == bins_of(row)
        np.testing.assert_allclose(counts / counts.sum(), 1 / bins_of(row), atol=0.01)
        assert (choices.operation[rows == row] == EVERY.index(POOL[row])).all()
    bits = choices.magnitude[choices.operation == EVERY.index("posterize")].floor()
    assert bits.unique().tolist() == list(range(1, 9))


def test_a_bin_that_hurts_is_drawn_no_more() -> None:
    policy = CTAugment()
    row = POOL.index("invert")
    strong = row * MOST + MOST - 1
    for _ in range(40):
        policy.update(torch.tensor([[strong, row * MOST]]), torch.eye(2)[[1, 0]], torch.tensor([0, 0]))
    assert policy.rates[row, -1] == pytest.approx(0.99**40) and policy.rates[row, 0] == 1
    choices, slots = policy.sample(5_000, 8, 8, seeded())
    assert strong not in slots and row * MOST in slots
    assert choices.place is not None and choices.place.shape == (2, 2, 5_000)


def test_images_stay_as_they_are_and_mistakes_are_refused() -> None:
    images, policy = torch.randint(256, (4, 1, 8, 8), dtype=torch.uint8, generator=seeded()), CTAugment()
    before, probed = images.clone(), policy.probe(images, generator=seeded())
    assert probed.slots.shape == (2, 4) and probed.images.shape == images.shape
    policy(images, generator=seeded(), draws=1)
    assert torch.equal(images, before)
    with pytest.raises(UserError, match="CTAugment takes uint8 images"):
        policy(images.float(), generator=seeded())
    with pytest.raises(UserError, match="threshold must lie in"):
        CTAugment(threshold=2)
