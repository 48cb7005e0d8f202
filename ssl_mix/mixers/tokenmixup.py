"""TokenMixup: take over those tokens of the partner that its class token looks at more."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ssl_mix.errors import UserError, check_not_negative
from ssl_mix.mixers._common import given_lam, highest
from ssl_mix.mixers.class_attention import attention_reader
from ssl_mix.mixers.hooks import find_layer, hidden_layer_names
from ssl_mix.mixers.layer_mixer import Layer, LayerMixer


@dataclass(frozen=True)
class TokenMixup(LayerMixer):
    """Replace the tokens of an image in which its partner is more salient, within a vision transformer.

    Saliency s of a patch is the attention that the class token pays to it in the block behind the mixed
    layer, mean over heads, without gradient. Tokens with ``s[partner] - s > threshold`` are the partner's;
    the class token stays. The label weight of the image itself is ``i / (i + j)``, i the saliency of
    the tokens that it kept, j that of those it got, 1 where both are 0. It is known when the layer has run:
    NaN before. With a given lam the ``round((1 - lam) T)`` tokens of the largest difference are replaced.
    Use it as :class:`ManifoldMix`.

    Args:
        threshold: by how much the partner's saliency must exceed, rho in the paper.
        layers: names of blocks of a ``VisionTransformer`` of timm whose output is mixed, not the last; None
            for the one at a quarter of the depth, as published for ViT-B.

    Raises:
        ValueError: threshold is negative, the network is no vision transformer with a class token; or as
            :class:`ManifoldMix`.

    Source: Choi et al., "TokenMixup: Efficient Attention-guided Token-level Data Augmentation for
    Transformers" (NeurIPS 2022), the horizontal part without its ScoreNet, which the published code has as
    ``use_scorenet=False``. Differs from it: partners are a random permutation, where that matches them on the
    CPU so that saliency gains most (Hungarian algorithm). Left out: vertical TokenMixup, which changes no
    label.

    Examples:
        >>> from timm.models.vision_transformer import VisionTransformer
        >>> net = VisionTransformer(8, 4, embed_dim=8, depth=2, num_heads=2, num_classes=5)
        >>> images, labels = torch.rand(2, 3, 8, 8), torch.tensor([0, 1])
        >>> logits, target = TokenMixup(layers=("blocks.0",))(images, labels, net=net)
        >>> logits.shape, bool(((target.lam >= 0) & (target.lam <= 1)).all())
        (torch.Size([2, 5]), True)
    """

    threshold: float = 0.01
    layers: Sequence[str | int] | None = None

    measured: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_not_negative("threshold", self.threshold)
        self.check_layers()

    def usual_layers(self, net: nn.Module) -> Sequence[str]:
        """The block at a quarter of the depth."""
        blocks = hidden_layer_names(net)
        return blocks[max(0, len(blocks) // 4 - 1) :][:1]

    def layer_names(self, net: nn.Module) -> list[str]:
        """Names of the blocks that may be mixed; raises ValueError where one has no block with attention
        behind it."""
        names = super().layer_names(net)
        for name in names:
            _block_behind(net, name)
        return names

    def draw(self, lam: Tensor | float | None, images: Tensor, generator: torch.Generator | None) -> Tensor:
        """The given lam; NaN where the threshold is to decide."""
        if lam is not None:
            return given_lam(lam, images)
        return torch.full((len(images),), torch.nan, device=images.device)

    def put(
        self, layer: Layer, a: Tensor, b: Tensor, lam: Tensor, generator: torch.Generator | None
    ) -> tuple[Tensor, Tensor]:
        """Replace tokens (N, prefix + T, D)."""
        block, prefix = _block_behind(layer.net, layer.name)
        _, read = attention_reader(block.attn, prefix)
        with torch.no_grad():
            own, other = (read(block.norm1(tokens)).mean(1) for tokens in (a, b))  # type: ignore[operator]
        gain = other - own
        asked = highest(gain, ((1 - lam.nan_to_num(1.0)) * gain.shape[1]).round())
        taken = torch.where(lam.isnan()[:, None], gain > self.threshold, asked)
        kept, got = (own * ~taken).sum(1), (other * taken).sum(1)
        share = torch.where(kept + got > 0, kept / (kept + got), 1.0)
        whole = torch.cat((taken.new_zeros(len(a), prefix), taken), 1)
        return torch.where(whole[:, :, None], b, a), share


def _block_behind(net: nn.Module, name: str) -> tuple[nn.Module, int]:
    """The block that follows the one called ``name``, and how many tokens stand before the patches."""
    before, _, number = name.rpartition(".")
    prefix: list[Any] = [
        part.num_prefix_tokens
        for part in net.modules()
        if isinstance(getattr(part, "cls_token", None), Tensor) and hasattr(part, "num_prefix_tokens")
    ]
    if not number.isdigit() or len(prefix) != 1:
        raise UserError(
            "TokenMixup mixes the tokens between two blocks of a timm VisionTransformer with a class token, "
            f"for example timm:deit_small_patch16_224 after its 'blocks.2', got {type(net).__name__} and "
            f"layer {name!r}"
        )
    block = find_layer(net, f"{before}.{int(number) + 1}")
    if not hasattr(block, "norm1") or not isinstance(getattr(block, "attn", None), nn.Module):
        raise UserError(
            f"{before}.{int(number) + 1} ({type(block).__name__}) has no norm1 and attn to look at"
        )
    attention_reader(block.attn, prefix[0])
    return block, prefix[0]
