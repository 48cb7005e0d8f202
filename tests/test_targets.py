"""What becomes of predicted probabilities: sharpened, aligned, cut off, ramped up."""

import numpy as np
import pytest
import torch
from torch import Tensor

from ssl_mix.targets import align, hard_pseudo_labels, ramp_up, sharpen
from ssl_mix.types import Step


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.0])
def test_sharpening(temperature: float) -> None:
    p = torch.softmax(3 * noise(20, 5).double(), dim=1)
    powers = p.numpy() ** (1 / temperature)
    np.testing.assert_allclose(sharpen(p, temperature), powers / powers.sum(1, keepdims=True), rtol=1e-12)


def test_sharpening_a_certain_guess_leaves_it() -> None:
    p = torch.tensor([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0]])
    assert torch.equal(sharpen(p, 0.5), p)


def test_alignment_sums_to_one_and_is_the_ratio() -> None:
    p, mean = torch.softmax(noise(9, 4).double(), 1), torch.tensor([0.1, 0.2, 0.3, 0.4]).double()
    wanted = torch.tensor([0.4, 0.3, 0.2, 0.1]).double()
    found = align(p, mean, wanted).numpy()
    expected = p.numpy() * wanted.numpy() / mean.numpy()
    np.testing.assert_allclose(found, expected / expected.sum(1, keepdims=True), rtol=1e-12)
    np.testing.assert_allclose(found.sum(1), 1, rtol=1e-12)


def test_each_picture_may_have_its_own_threshold() -> None:
    p = torch.tensor([[0.6, 0.4], [0.2, 0.8], [0.3, 0.7]])
    guesses = hard_pseudo_labels(p, torch.arange(3), torch.tensor([0.5, 0.8, 0.9]))
    assert guesses.labels.tolist() == [0, 1, 1]
    assert guesses.mask.tolist() == [1, 1, 0]


def test_ramp() -> None:
    steps = [Step(number, 100, torch.Generator()) for number in (0, 20, 40, 90)]
    assert [ramp_up(step, 0.4) for step in steps] == [0, 0.5, 1, 1]
    assert [ramp_up(step, 0.0) for step in steps] == [1] * 4
