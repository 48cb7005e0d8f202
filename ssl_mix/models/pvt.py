"""Pyramid Vision Transformer, tiny: which timm has in its second version alone."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssl_mix.errors import UserError
from ssl_mix.transfer.heads import new_head

WIDTHS, HEADS, EXPANSIONS, REDUCTIONS = (64, 128, 320, 512), (1, 2, 5, 8), (8, 8, 4, 4), (8, 4, 2, 1)
DEPTH, PATCHES, SIDE = 2, (4, 2, 2, 2), 32


class _Attention(nn.Module):
    """Attention of all tokens to tokens of a grid that is ``reduction`` times coarser."""

    def __init__(self, width: int, heads: int, reduction: int) -> None:
        super().__init__()
        self.heads = heads
        self.q, self.kv, self.proj = (nn.Linear(width, n * width) for n in (1, 2, 1))
        self.coarser = nn.Conv2d(width, width, reduction, reduction) if reduction > 1 else None
        self.norm = nn.LayerNorm(width) if reduction > 1 else None

    def forward(self, x: Tensor, side: int) -> Tensor:
        """Tokens (N, T, D) to the same; T is ``side ** 2`` where they are made coarser."""
        seen = x
        if self.coarser is not None and self.norm is not None:
            grid = torch.unflatten(x.transpose(1, 2), 2, (side, side))
            seen = self.norm(self.coarser(grid).flatten(2).transpose(1, 2))
        query = self.q(x).unflatten(2, (self.heads, -1)).transpose(1, 2)
        key, value = self.kv(seen).unflatten(2, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        found: Tensor = self.proj(
            F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        )
        return found


class _Block(nn.Module):
    """Attention and a perceptron, each normalized first and added."""

    def __init__(self, width: int, heads: int, expansion: int, reduction: int, drop_path: float) -> None:
        super().__init__()
        from timm.layers import DropPath, Mlp  # takes a second

        self.norm1, self.norm2 = (nn.LayerNorm(width, eps=1e-6) for _ in range(2))
        self.attn = _Attention(width, heads, reduction)
        self.mlp = Mlp(width, expansion * width)
        self.drop = DropPath(drop_path) if drop_path else nn.Identity()

    def forward(self, x: Tensor, side: int) -> Tensor:
        x = x + self.drop(self.attn(self.norm1(x), side))
        found: Tensor = x + self.drop(self.mlp(self.norm2(x)))
        return found


class _Stage(nn.Module):
    """Patches of the grid before become tokens of a finer meaning; the last stage has a class token."""

    def __init__(self, number: int, inputs: int, side: int, drops: list[float]) -> None:
        super().__init__()
        width, self.side, last = WIDTHS[number], side, number == len(WIDTHS) - 1
        self.patches = nn.Conv2d(inputs, width, PATCHES[number], PATCHES[number])
        self.norm = nn.LayerNorm(width)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width)) if last else None
        self.places = nn.Parameter(torch.zeros(1, side * side + last, width))
        settings = HEADS[number], EXPANSIONS[number], REDUCTIONS[number]
        self.blocks = nn.ModuleList([_Block(width, *settings, drop) for drop in drops])

    def no_weight_decay(self) -> set[str]:
        """The class token, as in the paper's code; places decay."""
        return {"cls_token"} if self.cls_token is not None else set()

    def forward(self, x: Tensor) -> Tensor:
        """A grid (N, C, H, W) to the next, or at the end to tokens (N, T + 1, D), the class token first."""
        tokens: Tensor = self.norm(self.patches(x).flatten(2).transpose(1, 2))
        if self.cls_token is not None:
            # len(tokens) would stay what it is while the network is exported
            first = self.cls_token.expand(tokens.shape[0], -1, -1)
            tokens = torch.cat((first, tokens), dim=1)
        tokens = tokens + self.places
        for block in self.blocks:
            tokens = block(tokens, self.side)
        if self.cls_token is not None:
            return tokens
        return torch.unflatten(tokens.transpose(1, 2), 2, (self.side, self.side))


class PVTTiny(nn.Module):
    """PVT-Tiny, 13.2 million parameters for 1000 classes.

    Args:
        num_classes: C, logits per image.
        channels: of the images.
        image_size: side of the images, a multiple of 32; default: 224.
        drop_path: chance of the last residual branch to be left out, which rises evenly from 0.

    Raises:
        ValueError: the size does not fit.

    Source: Wang et al., "Pyramid Vision Transformer" (ICCV 2021), table 1. Differs: the head is drawn as
    every head here, and images of another size than the network was built for are refused.
    """

    hidden_layers = ("stages.0", "stages.1", "stages.2")  # behind the last there is no grid

    def __init__(
        self,
        num_classes: int,
        *,
        channels: int = 3,
        image_size: int | None = None,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        size = image_size or 224
        if size % SIDE:
            raise UserError(
                f"pvt-t is for images whose side is a multiple of {SIDE}, got `image_size` {size}"
            )
        drops = torch.linspace(0, drop_path, DEPTH * len(WIDTHS), device="cpu").tolist()
        self.stages = nn.ModuleList(
            [
                _Stage(
                    number, before, size // 2 ** (number + 2), drops[DEPTH * number : DEPTH * (number + 1)]
                )
                for number, before in enumerate((channels, *WIDTHS[:-1]))
            ]
        )
        self.norm = nn.LayerNorm(WIDTHS[-1], eps=1e-6)
        self.head = new_head(WIDTHS[-1], num_classes)
        for name, weight in self.stages.named_parameters():
            if name.endswith(("places", "cls_token")) or (weight.ndim == 2 and "patches" not in name):
                nn.init.trunc_normal_(weight, std=0.02)
            elif name.endswith("bias") and "patches" not in name and "coarser" not in name:
                nn.init.zeros_(weight)

    def features(self, x: Tensor) -> Tensor:
        """The class token (N, 512) of images (N, C, H, W)."""
        for stage in self.stages:
            x = stage(x)
        found: Tensor = self.norm(x)[:, 0]
        return found

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, num_classes) of images (N, C, H, W)."""
        logits: Tensor = self.head(self.features(x))
        return logits
