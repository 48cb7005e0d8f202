"""Random streams that are pure functions of (seed, stream name, step).

Each step seeds its generators afresh instead of carrying their state from step to step. A resumed run
therefore draws exactly what an uninterrupted one draws, any step can be replayed alone, prefetching cannot
disturb the order, and the draws are the same on every device because they are made on the CPU.
"""

import hashlib

import torch
from torch import Tensor

from ssl_mix.errors import check_seed


def stream_seed(seed: int, stream: str, step: int = 0) -> int:
    """A 63-bit seed from SHA-256 of ``seed/stream/step``: streams and steps are independent of each other.

    Raises:
        ValueError: the seed is no whole number in [0, 2^63).
    """
    check_seed("seed", seed)
    digest = hashlib.sha256(f"{seed}/{stream}/{step}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def stream_generator(seed: int, stream: str, step: int = 0) -> torch.Generator:
    """A fresh CPU generator for one stream at one step."""
    return torch.Generator().manual_seed(stream_seed(seed, stream, step))


def sample_dirichlet(
    shape: tuple[int, ...], alpha: float, generator: torch.Generator | None, device: torch.device
) -> Tensor:
    """Draws (..., K) from the symmetric Dirichlet distribution, float32, on ``device``, made where the
    generator lives."""
    source = generator.device if generator is not None else device
    given = torch.full(shape, alpha, dtype=torch.float64, device=source)
    gamma = torch._standard_gamma(given, generator=generator)
    return (gamma / gamma.sum(-1, keepdim=True)).float().to(device, non_blocking=True)


def sample_beta(
    count: int,
    alpha: float,
    generator: torch.Generator | None,
    device: torch.device,
    *,
    folded: bool = False,
) -> Tensor:
    """``count`` draws from Beta(alpha, alpha), float32, on ``device``; ``min(lam, 1 - lam)`` if ``folded``.

    ``lam = sigmoid(log g - log h)`` with two gamma variables of shape alpha, of which only the logarithms are
    made: those of shape alpha + 1 plus ``log(u) / alpha`` with u uniform. So nothing underflows, however
    small alpha is, and a folded share keeps its digits where lam is nearly 1. alpha 1 is uniform. The draw is
    made where the generator lives; a CPU generator serves every device without a host synchronization.
    """
    source = generator.device if generator is not None else device
    if alpha == 1:
        uniform = torch.rand(count, generator=generator, device=source)
        lam = torch.minimum(uniform, 1 - uniform) if folded else uniform
        return lam.to(device, non_blocking=True)
    shape = torch.full((2, count), alpha + 1, dtype=torch.float64, device=source)
    gamma_a, gamma_b = torch._standard_gamma(shape, generator=generator).log_().unbind(0)
    wait_a, wait_b = torch.empty_like(shape).exponential_(generator=generator).unbind(0)  # -log(u)
    logit = (wait_b - wait_a).div_(alpha).add_(gamma_a).sub_(gamma_b)
    lam = torch.sigmoid(logit.abs_().neg_() if folded else logit)
    return lam.float().to(device, non_blocking=True)
