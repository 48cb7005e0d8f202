"""LUMix's label weight, perturbed by noise and the network's own scores; see :mod:`ssl_mix.losses.lumix`."""

from typing import Literal

import torch
from torch import Tensor

from ssl_mix.errors import UserError, check_choice, check_positive, check_share
from ssl_mix.losses._common import check_shares
from ssl_mix.losses._pairs import IGNORED, Pairs, as_pairs, at_classes, check_ignore_index, flat_share
from ssl_mix.randomness import sample_beta

Noise = Literal["beta", "normal"]


def draw_lam(
    count: int, noise: Noise, alpha: float, generator: torch.Generator | None, like: Tensor
) -> Tensor:
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
    ignore_index: int = IGNORED,
    generator: torch.Generator | None = None,
) -> Tensor:
    """``(1 - r1 - r2) lam + r1 lam_r + r2 lam_s``: the label weight of class a, perturbed.

    ``lam_r`` is random; ``lam_s = p_a / (p_a + p_b) = sigmoid(z_a - z_b)`` is what the network sees of class
    **a**, the class that ``lam`` weights. Where lam is 0 or 1, or a label is ignored, the image shows one
    class, about which nothing is uncertain: lam stays. The result can be handed to any loss of mixed
    images, for example :func:`ssl_mix.losses.decoupled_mixup_cross_entropy`, with :func:`lumix_regularizer`
    added.

    Args:
        logits: (N, C) float, or (N, C, d1, ...) with labels (N, d1, ...); half precision is computed in
            float32.
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
        ignore_index: a label that counts nothing.
        generator: source of ``lam_r``; a CPU generator serves every device.

    Returns:
        The perturbed weights, like the labels, float32 or float64.

    Raises:
        ValueError: a shape, a dtype or an option is wrong.

    Examples:
        >>> a, b = torch.tensor([0, 0]), torch.tensor([1, 1])
        >>> lumix_lam(torch.zeros(2, 4), a, b, torch.tensor([0.7, 1.0]), random_lam=0.2)  # 0.35 + 0.08 + 0.05
        tensor([0.4800, 1.0000])
    """
    check_lumix(random_ratio, score_ratio, noise, alpha)
    check_ignore_index(ignore_index)
    pairs = as_pairs(logits, lam, None, ignore_index, labels_a=labels_a, labels_b=labels_b)
    if random_ratio > 0 and random_lam is None:
        random_lam = draw_lam(len(logits), noise, alpha, generator, pairs.logits)
    found = perturbed(pairs, random_lam, random_ratio, score_ratio, detach)
    if pairs.kept is not None:  # the share of an ignored label is 0 in a pair, but lam stays as it was
        given = flat_share("lam", lam, pairs.logits, pairs.shape).expand(len(found))
        found = found.where(pairs.kept == 1, given)
    return found.view(pairs.shape)


def perturbed(
    pairs: Pairs, random_lam: Tensor | float | None, random_ratio: float, score_ratio: float, detach: bool
) -> Tensor:
    """The perturbed share of class a in each row, (M,)."""
    z_a, z_b = at_classes(pairs.logits, pairs.classes).unbind(1)
    score_lam = torch.sigmoid(z_a - z_b)
    lam = pairs.shares[:, 0]
    found = (1 - random_ratio - score_ratio) * lam
    found = found + score_ratio * (score_lam.detach() if detach else score_lam)
    if random_lam is not None and random_ratio > 0:
        drawn = flat_share("random_lam", random_lam, pairs.logits, pairs.shape)
        check_shares("random_lam", drawn)
        found = found + random_ratio * drawn
    # What rounding takes beyond [0, 1] is brought back; so is nothing else.
    return torch.where(pairs.shares.amin(1) > 0, found.clamp(0, 1), lam)
