"""LUMix's label weight, perturbed by noise and the network's own scores; see :mod:`ssl_mix.losses.lumix`."""

from typing import Literal

import torch
from torch import Tensor

from ssl_mix.errors import UserError, check_choice, check_positive, check_share
from ssl_mix.losses._common import check_labels, weight_like
from ssl_mix.passes import full_precision
from ssl_mix.randomness import sample_beta

Noise = Literal["beta", "normal"]


def _draw(count: int, noise: Noise, alpha: float, generator: torch.Generator | None, like: Tensor) -> Tensor:
    """``count`` random weights in [0, 1], drawn where the generator lives and moved to ``like``."""
    if noise == "beta":
        return sample_beta(count, alpha, generator, like.device).to(like.dtype)
    source = generator.device if generator is not None else like.device
    drawn = torch.randn(count, generator=generator, device=source)
    return drawn.clamp(0, 1).to(like.device, like.dtype, non_blocking=True)


def check_lumix(random_ratio: float, score_ratio: float, noise: Noise, alpha: float) -> None:
    """Raise unless the options of :func:`lumix_lam` are within their ranges."""
    check_share("random_ratio", random_ratio)
    check_share("score_ratio", score_ratio)
    if random_ratio + score_ratio > 1:
        raise UserError(
            f"random_ratio + score_ratio must not exceed 1, got {random_ratio} + {score_ratio}: "
            "what they leave is the share of lam itself"
        )
    check_choice("noise", noise, ("beta", "normal"))
    check_positive("alpha", alpha)


def lumix_lam(
    logits: Tensor,
    labels_a: Tensor,
    labels_b: Tensor,
    lam: Tensor | float,
    *,
    random_ratio: float = 0.4,
    score_ratio: float = 0.1,
    random_lam: Tensor | float | None = None,
    noise: Noise = "beta",
    alpha: float = 2.0,
    detach: bool = True,
    generator: torch.Generator | None = None,
) -> Tensor:
    """``(1 - r1 - r2) lam + r1 lam_r + r2 lam_s``: the label weight of class a, perturbed.

    ``lam_r`` is random; ``lam_s = p_a / (p_a + p_b) = sigmoid(z_a - z_b)`` is what the network sees of class
    **a**, the class that ``lam`` weights. Where lam is 0 or 1 the image shows one class, about which nothing
    is uncertain: it stays. The result can be handed to any loss of mixed images, for example
    :func:`ssl_mix.losses.decoupled_mixup_cross_entropy`, with :func:`lumix_regularizer` added.

    Args:
        logits: (N, C) float; half precision is computed in float32.
        labels_a: classes of the base samples, (N,) int64.
        labels_b: classes of their partners, (N,) int64.
        lam: weight of ``labels_a`` in [0, 1], (N,) or one number for all.
        random_ratio: ``r1``, the share of ``lam_r``.
        score_ratio: ``r2``, the share of ``lam_s``.
        random_lam: ``lam_r`` in [0, 1] if drawn by the caller, (N,) or one number. A compiled step draws
            outside, because a graph cannot hold a generator.
        noise: ``lam_r ~ Beta(alpha, alpha)``, or "normal": N(0, 1) clipped to [0, 1]; one draw per sample.
        alpha: of the Beta distribution.
        detach: no gradient flows through ``lam_s``.
        generator: source of ``lam_r``; a CPU generator serves every device.

    Returns:
        The perturbed weights, (N,), float32 or float64.

    Raises:
        ValueError: a shape, a dtype or an option is wrong.

    Examples:
        >>> a, b = torch.tensor([0, 0]), torch.tensor([1, 1])
        >>> lumix_lam(torch.zeros(2, 4), a, b, torch.tensor([0.7, 1.0]), random_lam=0.2)  # 0.35 + 0.08 + 0.05
        tensor([0.4800, 1.0000])
    """
    logits = full_precision(logits)
    check_labels(logits, labels_a=labels_a, labels_b=labels_b)
    check_lumix(random_ratio, score_ratio, noise, alpha)
    z_a, z_b = logits.gather(1, torch.stack((labels_a, labels_b), dim=1)).unbind(1)
    score_lam = torch.sigmoid(z_a - z_b)
    lam = weight_like("lam", lam, logits)
    perturbed = (1 - random_ratio - score_ratio) * lam
    perturbed = perturbed + score_ratio * (score_lam.detach() if detach else score_lam)
    if random_ratio > 0:
        if random_lam is None:
            random_lam = _draw(len(logits), noise, alpha, generator, logits)
        perturbed = perturbed + random_ratio * weight_like("random_lam", random_lam, logits)
    return torch.where((lam > 0) & (lam < 1), perturbed, lam)
