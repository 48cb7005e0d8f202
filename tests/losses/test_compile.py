"""One graph, no recompilation, no look at the values: what a captured or asynchronous step needs."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._dynamo.testing import CompileCounterWithBackend

from ssl_mix.losses import (
    AsymmetricMixupLoss,
    DecoupledMixupBCELoss,
    DecoupledMixupLoss,
    LUMixLoss,
    asymmetric_mixup_cross_entropy,
    decoupled_cross_entropy,
    decoupled_mixup_bce,
    decoupled_mixup_cross_entropy,
    lumix_cross_entropy,
    mixup_cross_entropy,
    semantic_equivariance,
)
from ssl_mix.types import MixedTarget

# The compiler's own dependencies warn on some versions; warnings of this package remain errors elsewhere.
pytestmark = pytest.mark.filterwarnings("default")


STEPS: dict[str, Callable[..., Any]] = {
    "mixup": mixup_cross_entropy,
    "decoupled": decoupled_cross_entropy,
    "decoupled_minor": lambda *batch: decoupled_cross_entropy(*batch, sides="minor", eta_power=0.5),
    "decoupled_mixup": decoupled_mixup_cross_entropy,
    "asymmetric": lambda *batch: asymmetric_mixup_cross_entropy(*batch, mask=batch[3] > 0.2, eta_power=0.5),
    "module": lambda logits, *rest: DecoupledMixupLoss()(logits, MixedTarget(*rest)),
    "module_dense": lambda logits, *rest: DecoupledMixupLoss(sides="major")(
        logits, MixedTarget(*rest).dense(10)
    ),
    "module_labels": lambda logits, *rest: DecoupledMixupLoss()(logits, rest[0]),
    "module_smoothed": lambda logits, *rest: DecoupledMixupLoss(label_smoothing=0.1)(
        logits, MixedTarget(*rest)
    ),
    "module_three_classes": lambda logits, *rest: DecoupledMixupLoss(classes=3)(
        logits, MixedTarget(*rest).dense(10)
    ),
    "bce": lambda *batch: decoupled_mixup_bce(*batch, t=0.5),
    "module_bce_dense": lambda logits, *rest: DecoupledMixupBCELoss()(logits, MixedTarget(*rest).dense(10)),
    "lumix": lambda *batch: lumix_cross_entropy(*batch, random_lam=batch[3].flip(0), detach=False),
    "module_lumix_dense": lambda logits, *rest: LUMixLoss()(
        logits, MixedTarget(*rest).dense(10), rest[2].flip(0)
    ),
    "module_lumix_bce": lambda logits, *rest: LUMixLoss(kind="bce")(
        logits, MixedTarget(*rest), rest[2].flip(0)
    ),
    "equivariance": lambda logits, _, __, lam: semantic_equivariance(
        logits, logits.flip(0), logits.flip(1), lam, distance="cosine"
    ),
    "module_asymmetric": lambda logits, *rest: AsymmetricMixupLoss()(logits, MixedTarget(*rest)),
}


@pytest.fixture(params=list(STEPS))
def step(request: Any) -> Iterator[Callable[..., Any]]:
    """A loss as a function of (logits, labels_a, labels_b, lam)."""
    torch.compiler.reset()
    yield STEPS[request.param]
    torch.compiler.reset()


def batch(seed: int, device: str = "cpu") -> list[Tensor]:
    """Logits (6, 10) with gradient, two classes per sample, of which some agree, and weights with both
    edges."""
    draw = torch.Generator().manual_seed(seed)
    logits = torch.randn(6, 10, generator=draw)
    labels_a, labels_b = torch.randint(3, (2, 6), generator=draw)
    lam = torch.rand(6, generator=draw)
    lam[0], lam[1] = 0, 1
    return [tensor.to(device) for tensor in (logits.requires_grad_(), labels_a, labels_b, lam)]


def test_compiled_equals_eager_in_one_graph_without_recompilation(step: Callable[..., Any]) -> None:
    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(step, fullgraph=True, backend=counter)
    for seed in range(3):
        inputs = batch(seed)
        actual, expected = compiled(*inputs), step(*inputs)
        torch.testing.assert_close(actual, expected, rtol=1e-6, atol=1e-7)
        gradients = [torch.autograd.grad(loss, inputs[0])[0] for loss in (actual, expected)]
        torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-7)
    assert counter.frame_count == 1


def test_values_are_never_looked_at(step: Callable[..., Any]) -> None:
    """Tensors of the meta device have no values: reading one raises."""
    loss = step(*batch(0, "meta"))
    assert (loss.device.type, loss.shape) == ("meta", ())


def test_inputs_are_left_as_they_were(step: Callable[..., Any]) -> None:
    inputs = batch(0)
    copies = [tensor.detach().clone() for tensor in inputs]
    step(*inputs).backward()
    assert all(torch.equal(tensor, copy) for tensor, copy in zip(inputs, copies, strict=True))
