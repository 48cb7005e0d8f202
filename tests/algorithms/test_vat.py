"""The direction that VAT finds, against second derivatives in double precision."""

import torch
from torch import Tensor

from ssl_mix.algorithms.vat import VAT, divergence, unit
from ssl_mix.models import SmallCNN
from ssl_mix.passes import apart


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_worst_direction_is_that_of_the_curvature_in_single_precision():
    torch.manual_seed(0)
    net, images, start = SmallCNN(5, channels=1), noise(12, 1, 16, 16), noise(12, 1, 16, 16, seed=1)
    net.double()
    target = torch.softmax(apart(net, images.double()).detach(), dim=1)
    still = torch.zeros_like(images, dtype=torch.float64, requires_grad=True)
    cost = divergence(target, apart(net, images.double() + still))
    (slope,) = torch.autograd.grad(cost, still, create_graph=True)
    (exact,) = torch.autograd.grad((slope * unit(start.double())).sum(), still)  # Hessian times the start

    net.float()
    found = VAT()._worst_direction(net, images, target.float(), start)
    cosine = (found.double() * unit(exact)).flatten(1).sum(dim=1)
    assert cosine.min() > 0.97 and cosine.mean() > 0.99
    published = VAT(probe=1e-6)._worst_direction(net, images, target.float(), start)
    assert (published.double() * unit(exact)).flatten(1).sum(dim=1).mean() < 0.5
    assert all(parameter.grad is None for parameter in net.parameters())
