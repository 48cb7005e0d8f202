"""Position embeddings of a vision transformer for images of another size than those of its weights."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

NAME = "pos_embed"


def with_positions(
    body: Any, state: dict[str, Tensor], shapes: Mapping[str, torch.Size]
) -> dict[str, Tensor]:
    """Weights whose position embeddings are resampled to the patches that a network of timm sees, bicubic and
    with antialiasing, as timm itself does where it fetches them; as they are where that means nothing.

    Args:
        body: the network; its patches are those of square images.
        state: its weights by name, "pos_embed" (1, P + S * S, D) among them, P for tokens of no patch.
        shapes: those that the network has, by name, (1, P + H * W, D) of the embeddings.
    """
    grid, had = getattr(getattr(body, "patch_embed", None), "grid_size", None), state.get(NAME)
    wanted = shapes.get(NAME)
    if grid is None or had is None or wanted is None or had.ndim != 3 or had.shape[2] != wanted[-1]:
        return state
    tokens = 0 if getattr(body, "no_embed_class", False) else getattr(body, "num_prefix_tokens", 1)
    side = math.isqrt(max(had.shape[1] - tokens, 0))
    if side == 0 or side**2 != had.shape[1] - tokens or had.shape == wanted:
        return state
    from timm.layers import resample_abs_pos_embed

    return {**state, NAME: resample_abs_pos_embed(had, [*grid], [side, side], tokens)}
