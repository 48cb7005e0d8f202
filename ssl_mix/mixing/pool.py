"""How MixMatch and ReMixMatch mix: labeled and pseudo-labeled images in one pool, each with a random partner
from it."""

from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssl_mix.errors import UserError
from ssl_mix.losses._common import check_floats
from ssl_mix.mixers import Mixup
from ssl_mix.passes import apart, logits_of
from ssl_mix.randomness import sample_beta
from ssl_mix.types import MixedTarget

LamPer = Literal["sample", "batch"]


class Pool(NamedTuple):
    """The mixed pool, the labeled images first.

    Attributes:
        logits: of the mixed images, (M, C).
        targets: their mixed class distributions, (M, C).
        pair: the likeliest class of both images behind each, and the share of the first.
        known: whether the class of each of the two is a true label, (M, 2) bool.
    """

    logits: Tensor
    targets: Tensor
    pair: MixedTarget
    known: Tensor


def mix_pool(
    net: nn.Module,
    images: Tensor,
    targets: Tensor,
    labeled: int,
    *,
    alpha: float,
    lam_per: LamPer,
    interleave: bool,
    generator: torch.Generator,
) -> Pool:
    """Mix the pool with a permutation of itself, each image keeping the larger share, and classify it.

    Args:
        net: the student.
        images: (M, C, H, W), labeled ones first.
        targets: their class distributions, (M, C), detached.
        labeled: how many are labeled, B.
        alpha: lam ~ Beta(alpha, alpha), then ``max(lam, 1 - lam)``.
        lam_per: one draw for each "sample" (Google), or one for the whole "batch" (TorchSSL, USB).
        interleave: see :func:`classify_in_parts`.
        generator: of the draws.
    """
    check_floats(images=images, targets=targets)
    if images.ndim < 2 or targets.ndim != 2 or len(targets) != len(images) or not 0 < labeled <= len(images):
        raise UserError(
            "expected images (M, ...), targets (M, C) and from 1 to M labeled, got "
            f"{tuple(images.shape)}, {tuple(targets.shape)} and {labeled}"
        )
    partner = torch.randperm(len(images), generator=generator).to(images.device, non_blocking=True)
    draws = len(images) if lam_per == "sample" else 1
    lam = sample_beta(draws, alpha, generator, images.device).expand(len(images))
    lam = torch.maximum(lam, 1 - lam)
    mixed, lam = Mixup().mix(images, images.index_select(0, partner), lam=lam)
    share = lam.to(targets.dtype)[:, None]
    classes = targets.argmax(dim=1)
    known = torch.arange(len(images), device=images.device) < labeled
    return Pool(
        classify_in_parts(net, mixed, labeled, interleave=interleave),
        share * targets + (1 - share) * targets[partner],
        MixedTarget(classes, classes[partner], lam),
        torch.stack((known, known[partner]), dim=1),
    )


def classify_in_parts(net: nn.Module, images: Tensor, labeled: int, *, interleave: bool) -> Tensor:
    """Logits of the pool (M, C) from passes over parts of ``labeled`` images; the first alone moves running
    statistics.

    Args:
        net: the student.
        images: (M, C, H, W), labeled ones first.
        labeled: size of a part, B.
        interleave: swap slices between the first part and the others, so that it holds as many unlabeled
            images from each part as labeled ones, and running statistics are of both kinds. Without it they
            are of labeled images alone.
    """
    order = interleaved(labeled, len(images)) if interleave else torch.arange(len(images))
    order = order.to(images.device, non_blocking=True)
    first, *others = torch.split(images.index_select(0, order), labeled)
    logits = torch.cat([logits_of(net, first), *(apart(net, part) for part in others)])
    return logits.index_select(0, order)  # swaps undo themselves


def interleaved(labeled: int, total: int) -> Tensor:
    """An order (total,) that swaps slice i of the first part, of ``labeled`` images, with slice i of part i,
    for each i >= 1."""
    order = torch.arange(total)
    count = -(-total // labeled)
    for part in range(1, count):
        here = torch.arange(part * labeled // count, (part + 1) * labeled // count)
        here = here[part * labeled + here < total]
        order[here], order[part * labeled + here] = part * labeled + here, here
    return order


def one_hot(labels: Tensor, like: Tensor) -> Tensor:
    """Labels (B,) as class distributions in the dtype and with the columns of ``like`` (N, C)."""
    return F.one_hot(labels, like.shape[1]).to(like.dtype)
