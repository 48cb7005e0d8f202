"""What the class token of a vision transformer attends to, read through a hook."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssl_mix.errors import UserError
from ssl_mix.mixers.hooks import check_uncompiled
from ssl_mix.ranks import gathered

Projections = tuple[Tensor, Tensor]
Reader = Callable[[Tensor], Tensor]


@contextmanager
def capture_class_attention(net: nn.Module, *, each_head: bool = False) -> Iterator[Callable[[], Tensor]]:
    """Within the block, the attention of the class token to the patches is read from the last block of a
    transformer. ::

        with capture_class_attention(net) as attention:
            logits = net(images)
        weights = attention()

    ``attention()`` gives (N, T) float32 for the last forward pass: the mean over heads of the softmax over
    all tokens, before dropout, of which T belong to patches. It is computed for the class token alone from
    the input of the attention layer, which costs one matrix product more and works where fused attention
    never makes the matrix. It carries no gradient.

    Knows the vision transformers of timm (``VisionTransformer`` and its kin with class token, also with
    register or distillation tokens, CaiT, XCiT) and of torchvision, also inside other modules.

    Args:
        net: a network with exactly one such transformer.
        each_head: leave the heads apart: (N, heads, T).

    Raises:
        ValueError: at once, where the network is compiled or has no class token whose attention can be read;
            when ``attention()`` is called, where no forward pass was made.

    Examples:
        >>> from torchvision.models import VisionTransformer
        >>> net = VisionTransformer(8, 4, 1, 1, 4, 4)  # 8 pixels, patches of 4, one layer, one head
        >>> with capture_class_attention(net) as attention:
        ...     logits = net(torch.rand(2, 3, 8, 8))
        >>> attention().shape  # of 2 images, to 4 patches
        torch.Size([2, 4])
    """
    check_uncompiled(net)
    layer, read = _class_attention(net)
    kept: list[Tensor] = []

    @torch.no_grad()
    def hook(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        heads = gathered(read(inputs[0].detach()))
        kept[:] = [heads if each_head else heads.mean(1)]

    def attention() -> Tensor:
        if not kept:
            raise UserError(
                "no attention was captured: run the network inside the block, without torch.compile"
            )
        return kept[0]

    handle = layer.register_forward_pre_hook(hook)
    try:
        yield attention
    finally:
        handle.remove()


def _class_attention(net: nn.Module) -> tuple[nn.Module, Reader]:
    """The attention layer of the last block, and how its input (N, prefix + T, D) becomes attention (N,
    heads, T)."""
    found = [reading for module in net.modules() if (reading := _reading(module)) is not None]
    if len(found) != 1:
        many = (
            "no vision transformer with a class token" if not found else f"{len(found)} vision transformers"
        )
        parts = ", ".join(dict.fromkeys(type(child).__name__ for child in net.children()))
        raise UserError(
            f"{type(net).__name__} ({parts}) holds {many} to read: attention to patches is known for one "
            "VisionTransformer of timm or torchvision, CaiT or XCiT. Networks without a class token (Swin, "
            "ConvNeXt, ResNet) have no such attention"
        )
    return found[0]


def _reading(module: nn.Module) -> tuple[nn.Module, Reader] | None:
    """Layer and reader where ``module`` is a transformer of a known kind, None where it is something else."""
    if isinstance(getattr(module, "cls_token", None), Tensor):
        _check_pooling(module)
        for name in ("blocks_token_only", "cls_attn_blocks"):
            if hasattr(module, name):
                return _of_class_blocks(_last_attention(module, name))
        return attention_reader(_last_attention(module, "blocks"), getattr(module, "num_prefix_tokens", 1))
    if isinstance(getattr(module, "class_token", None), Tensor) and hasattr(module, "encoder"):
        return _of_torchvision(module.encoder.layers[-1].self_attention)  # type: ignore[union-attr, index]
    return None


def _check_pooling(transformer: nn.Module) -> None:
    pooling = getattr(transformer, "global_pool", "token")
    if pooling != "token":
        raise UserError(
            f"{type(transformer).__name__} classifies by global_pool={pooling!r}, not by its class token, "
            "whose attention therefore means nothing: build it with global_pool='token'"
        )


def _last_attention(transformer: nn.Module, blocks: str) -> Any:
    layers = getattr(transformer, blocks, None)
    last = getattr(layers[-1], "attn", None) if isinstance(layers, nn.Sequential | nn.ModuleList) else None
    if last is None:
        raise UserError(f"{type(transformer).__name__} has no {blocks}[-1].attn to read the attention from")
    return last


def attention_reader(layer: Any, prefix: int) -> tuple[nn.Module, Reader]:
    """A plain attention layer of timm, and how its input becomes the class token's attention to the patches,
    which are the tokens behind the first ``prefix``; raises ValueError for other kinds."""
    parts = all(hasattr(layer, name) for name in ("qkv", "q_norm", "k_norm", "num_heads", "scale"))
    # Its kin, with rotary positions, biases or differences, have the same parts but other attentions.
    if not parts or type(layer).__name__ != "Attention" or not isinstance(layer.qkv, nn.Linear):
        raise UserError(
            f"attention of the kind {type(layer).__name__} cannot be read: it is not timm's plain Attention"
        )

    def read(tokens: Tensor) -> Tensor:
        query, key = _stacked(tokens, layer.qkv.weight, layer.qkv.bias)
        query, key = layer.q_norm(_heads(query, layer.num_heads)), layer.k_norm(_heads(key, layer.num_heads))
        return _softmax(query, key, layer.scale)[:, :, prefix:]

    return layer, read


def _of_class_blocks(layer: Any) -> tuple[nn.Module, Reader]:
    def read(tokens: Tensor) -> Tensor:
        query, key = (_heads(x, layer.num_heads) for x in (layer.q(tokens[:, :1]), layer.k(tokens)))
        return _softmax(query, key, layer.scale)[:, :, 1:]

    return layer, read


def _of_torchvision(layer: nn.MultiheadAttention) -> tuple[nn.Module, Reader]:
    def read(tokens: Tensor) -> Tensor:
        query, key = _stacked(tokens, layer.in_proj_weight, layer.in_proj_bias)
        query, key = _heads(query, layer.num_heads), _heads(key, layer.num_heads)
        return _softmax(query, key, query.shape[-1] ** -0.5)[:, :, 1:]

    return layer, read


def _stacked(tokens: Tensor, weight: Tensor, bias: Tensor | None) -> Projections:
    """Query (N, 1, D) of the class token and keys (N, L, D), from weights (3 D, inputs) of query, key and
    value."""
    to_query, to_key, _ = weight.chunk(3)
    query_bias, key_bias = (None, None) if bias is None else bias.chunk(3)[:2]
    return F.linear(tokens[:, :1], to_query, query_bias), F.linear(tokens, to_key, key_bias)


def _heads(values: Tensor, heads: int) -> Tensor:
    """(N, L, heads * d) as (N, heads, L, d)."""
    return values.reshape(*values.shape[:2], heads, -1).transpose(1, 2)


def _softmax(query: Tensor, key: Tensor, scale: float) -> Tensor:
    """Attention of one query (N, heads, 1, d) to keys (N, heads, L, d): (N, heads, L) float32."""
    logits = (query * scale) @ key.transpose(2, 3)
    return logits.float().softmax(3).squeeze(2)
