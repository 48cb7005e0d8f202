"""What a step of every registered algorithm must keep. A new algorithm is tested by being registered."""

from typing import Any

import pytest
import torch
from algorithm_scene import forward, networks, random_batch, step, tensors
from algorithm_tables import both, each, everything, fullest

from ssl_mix.algorithms import ALGORITHMS


@both
def test_a_step_has_the_right_form_and_leaves_all_but_gradients(name: str, keywords: dict[str, Any]) -> None:
    algorithm: Any = ALGORITHMS[name](**keywords)
    nets, batch = networks(algorithm), random_batch(algorithm)
    before = [t.clone() for t in tensors([algorithm.state_dict(), nets.teacher.state_dict(), list(batch)])]
    output = algorithm(nets, batch, step())
    after = list(tensors([algorithm.state_dict(), nets.teacher.state_dict(), list(batch)]))
    assert before and all(map(torch.equal, before, after))
    assert output.loss.ndim == 0 and output.loss.requires_grad
    assert all(value.ndim == 0 and not value.requires_grad for value in output.metrics.values())
    assert any(metric.startswith("loss/") for metric in output.metrics)
    assert not any(value.requires_grad for value in output.carry.values())
    output.loss.backward()
    assert all(parameter.grad is None for parameter in nets.teacher.parameters())
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in nets.student.parameters())


@each
def test_every_loss_term_is_nonzero_and_moves_the_network(name: str) -> None:
    algorithm: Any = ALGORITHMS[name](**everything(name)[-1])
    output = forward(algorithm)
    terms = {metric: value for metric, value in output.metrics.items() if metric.startswith("loss/")}
    assert all(value != 0 for value in terms.values()), terms


@fullest
@pytest.mark.parametrize(("labeled", "unlabeled"), [(1, 1), (1, 7), (3, 2), (7, 3)])
def test_odd_and_unequal_batches(name: str, keywords: dict[str, Any], labeled: int, unlabeled: int) -> None:
    algorithm: Any = ALGORITHMS[name](**keywords)
    output = forward(algorithm, random_batch(algorithm, labeled, unlabeled))
    output.loss.backward()
    assert output.loss.isfinite()


@fullest
def test_half_precision_is_close_to_float32(name: str, keywords: dict[str, Any]) -> None:
    algorithm: Any = ALGORITHMS[name](
        **{**keywords, **({"threshold": 0.0} if "threshold" in keywords else {})}
    )
    exact = forward(algorithm).loss
    for precision in (torch.bfloat16, torch.float16):
        with torch.autocast("cpu", precision):
            half = forward(algorithm).loss
        assert half.dtype == torch.float32
        torch.testing.assert_close(half, exact, rtol=0.05, atol=0.05)
