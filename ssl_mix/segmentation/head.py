"""Heads that give each place of a grid of features a class."""

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssl_mix.errors import check_choice

HeadKind = Literal["linear", "mask-transformer"]
LAYERS, HEAD_WIDTH, DROPOUT = 2, 64, 0.1  # of the mask transformer, as in Segmenter's code


class MaskTransformer(nn.Module):
    """A token for each class goes with those of the patches through two transformer blocks; the logits of a
    patch are the products of its token with those of the classes, both projected and of length 1, normalized
    over the classes.

    Args:
        width: D of the features; so wide are its tokens too.
        num_classes: C.

    Source: Strudel et al., "Segmenter: Transformer for Semantic Segmentation" (ICCV 2021), as in its code,
    with dropout 0.1.
    """

    def __init__(self, width: int, num_classes: int) -> None:
        from timm.models.vision_transformer import Block  # takes a second

        super().__init__()
        heads = next(n for n in range(max(1, width // HEAD_WIDTH), 0, -1) if width % n == 0)
        self.project = nn.Linear(width, width)
        self.classes = nn.Parameter(torch.empty(1, num_classes, width))
        drop: dict[str, Any] = {"proj_drop": DROPOUT, "attn_drop": DROPOUT}
        blocks = (Block(width, heads, qkv_bias=True, norm_layer=nn.LayerNorm, **drop) for _ in range(LAYERS))
        self.blocks = nn.Sequential(*blocks)
        self.norm, self.mask_norm = nn.LayerNorm(width), nn.LayerNorm(num_classes)
        self.patch_projection = nn.Parameter(width**-0.5 * torch.randn(width, width))
        self.class_projection = nn.Parameter(width**-0.5 * torch.randn(width, width))
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=0.02)
                nn.init.zeros_(layer.bias)
        nn.init.trunc_normal_(self.classes, std=0.02)

    def no_weight_decay(self) -> set[str]:
        """The tokens of the classes, as timm names what is not decayed."""
        return {"classes"}

    def forward(self, features: Tensor) -> Tensor:
        """Logits (N, C, h, w) of features (N, D, h, w)."""
        size = features.shape[2:]
        patches = self.project(features.flatten(2).transpose(1, 2))
        tokens = torch.cat((patches, self.classes.expand(len(patches), -1, -1)), dim=1)
        tokens = self.norm(self.blocks(tokens))
        count = patches.shape[1]
        places = F.normalize(tokens[:, :count] @ self.patch_projection, dim=2)
        classes = F.normalize(tokens[:, count:] @ self.class_projection, dim=2)
        logits: Tensor = self.mask_norm(places @ classes.transpose(1, 2))
        return logits.transpose(1, 2).reshape(len(logits), -1, *size)


class SegmentationHead(nn.Module):
    """Logits of classes for each place of a grid of features.

    Args:
        kind: "linear", one linear layer for all places; or "mask-transformer", see :class:`MaskTransformer`.
        width: D of the features.
        num_classes: C.

    Raises:
        ValueError: the kind is unknown.
    """

    def __init__(self, kind: HeadKind, width: int, num_classes: int) -> None:
        super().__init__()
        check_choice("head", kind, ("linear", "mask-transformer"))
        self.decoder: nn.Module
        if kind == "mask-transformer":
            self.decoder = MaskTransformer(width, num_classes)
        else:
            self.decoder = nn.Conv2d(width, num_classes, kernel_size=1)
            nn.init.trunc_normal_(self.decoder.weight, std=0.02)
            nn.init.zeros_(self.decoder.bias)  # type: ignore[arg-type]

    def forward(self, features: Tensor) -> Tensor:
        """Logits (N, C, h, w) of features (N, D, h, w)."""
        logits: Tensor = self.decoder(features)
        return logits


def enlarged(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """Logits (N, C, h, w) at every pixel of an image, (N, C, H, W) float32, bilinear."""
    return F.interpolate(logits.float(), size=size, mode="bilinear", align_corners=False)
