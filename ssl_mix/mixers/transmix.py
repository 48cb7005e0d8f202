"""TransMix: label weights that follow the attention of a vision transformer."""

import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_mix.errors import UserError
from ssl_mix.losses._common import check_floats, check_shares


def transmix_lam(attention: Tensor, mask: Tensor, lam: Tensor) -> Tensor:
    """The mean of the share by area and the share of the attention: ``(lam + sum(attention * m) /
    sum(attention)) / 2``.

    m is the mask brought to the token grid, as the mean over each token's patch. The grid has as many tokens
    as there are attentions and the aspect of the mask. Where there is no attention at all, lam stays as it
    is. ::

        mixed = CutMix().mix_batch(images, labels)
        with capture_class_attention(net) as attention:
            logits = net(mixed.images)
        target = mixed.target._replace(lam=transmix_lam(attention(), mixed.mask, mixed.target.lam))

    Args:
        attention: of the class token to each patch of the MIXED images, (N, T), see
            :func:`ssl_mix.mixers.capture_class_attention`; no gradient flows through it.
        mask: share of the base image by pixel, (N, 1, H, W) bool or float, or (N, 1, 1, 1).
        lam: the share by area, (N,) float32.

    Returns:
        (N,) float32, one label weight of the base image per sample.

    Raises:
        ValueError: the shapes do not belong together, or T tokens make no grid of the images' aspect.

    Source: Chen et al., "TransMix: Attend to Mix for Vision Transformers" (CVPR 2022). Differs from the
    published code: the mask is averaged over each patch instead of read at one pixel, and lam is per sample.

    Examples:
        >>> attention, mask = torch.tensor([[3.0, 1.0]]), torch.tensor([[[[True, False]]]])
        >>> transmix_lam(attention, mask, torch.tensor([0.5]))  # (0.5 + 3/4) / 2
        tensor([0.6250])
    """
    check_floats(attention=attention, lam=lam)
    if not isinstance(mask, Tensor) or mask.device != attention.device:
        raise UserError(
            f"mask must be a tensor on {attention.device}, got {getattr(mask, 'device', type(mask))}"
        )
    check_shares("lam", lam)
    if mask.is_floating_point():
        check_shares("mask", mask)
    expected = len(lam) if lam.ndim == 1 else -1
    if (
        attention.ndim != 2
        or mask.ndim != 4
        or mask.shape[1] != 1
        or {len(attention), len(mask)} != {expected}
    ):
        raise UserError(
            "attention (N, T), mask (N, 1, H, W) and lam (N,) must belong together, "
            f"got {tuple(attention.shape)}, {tuple(mask.shape)} and {tuple(lam.shape)}"
        )
    weights = attention.detach().float()
    total, lam = weights.sum(1), lam.float()
    share = (weights * _by_token(mask.float(), weights.shape[1])).sum(1) / total
    return torch.lerp(lam, torch.where(total == 0, lam, share), 0.5)


def _by_token(mask: Tensor, tokens: int) -> Tensor:
    """Mean of the mask over each token's patch, (N, tokens), or (N, 1) where all pixels have one share."""
    height, width = mask.shape[2:]
    if (height, width) == (1, 1):
        return mask.flatten(1)
    rows = max(1, round((tokens * height / width) ** 0.5))
    columns = tokens // rows
    if rows * columns != tokens:
        raise UserError(f"{tokens} tokens make no grid of the aspect of {height} x {width} images")
    return F.adaptive_avg_pool2d(mask, (rows, columns)).flatten(1)
