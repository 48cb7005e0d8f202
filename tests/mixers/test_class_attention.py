"""Attention of the class token against attention obtained otherwise."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ssl_mix.errors import UserError
from ssl_mix.mixers import capture_class_attention

timm = pytest.importorskip("timm")
torchvision = pytest.importorskip("torchvision")

SIZES = {"depth": 2, "embed_dim": 16, "num_heads": 2, "num_classes": 5}


def images(samples: int = 3, height: int = 32, width: int = 48) -> Tensor:
    return torch.randn(samples, 3, height, width, generator=torch.Generator().manual_seed(9))


def hooks(net: Any) -> int:
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in net.modules())


def sharpened(net: Any) -> Any:
    """The network with weights large enough for attention far from uniform."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.normal_(0, 0.5 if parameter.ndim > 1 else 1.5, generator=generator)
    return net.eval()


def captured(net: Any, pictures: Tensor) -> Tensor:
    with capture_class_attention(nn.ModuleDict({"net": net})) as attention:
        net(pictures)
    assert hooks(net) == 0
    return attention()


def softmax(logits: NDArray[Any]) -> NDArray[Any]:
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def timm_class_attention(net: Any, pictures: Tensor, prefix: int) -> NDArray[Any]:
    """NumPy float64 from what enters the last attention layer: every query, every head, then the first
    row."""
    kept = []
    layer = net.blocks[-1].attn
    handle = layer.register_forward_pre_hook(
        lambda _, inputs: kept.append(inputs[0].detach().double().numpy())
    )
    net(pictures)
    handle.remove()
    x = kept[0]
    qkv = x @ layer.qkv.weight.detach().double().numpy().T
    if layer.qkv.bias is not None:
        qkv = qkv + layer.qkv.bias.detach().double().numpy()
    qkv = qkv.reshape(*x.shape[:2], 3, 2, 8)
    query, key = (qkv[:, :, part].transpose(0, 2, 1, 3) for part in (0, 1))
    for name in ("q_norm", "k_norm"):
        norm = getattr(layer, name)
        if isinstance(norm, nn.LayerNorm):
            values = query if name == "q_norm" else key
            mean, variance = values.mean(-1, keepdims=True), values.var(-1, keepdims=True)
            values = (values - mean) / np.sqrt(variance + norm.eps)
            values = values * norm.weight.detach().double().numpy() + norm.bias.detach().double().numpy()
            query, key = (values, key) if name == "q_norm" else (query, values)
    attention = softmax(query @ key.transpose(0, 1, 3, 2) / np.sqrt(8))
    return attention.mean(1)[:, 0, prefix:]


@pytest.mark.parametrize(
    "options, prefix",
    [({}, 1), ({"reg_tokens": 3}, 4), ({"qk_norm": True}, 1), ({"qkv_bias": False}, 1)],
    ids=["plain", "registers", "qk_norm", "no_bias"],
)
def test_timm(options: dict[str, Any], prefix: int) -> None:
    net = sharpened(timm.models.VisionTransformer(img_size=(32, 48), patch_size=8, **SIZES, **options))
    attention = captured(net, images())
    expected = timm_class_attention(net, images(), prefix)
    assert attention.shape == (3, 24)
    assert expected.std() > 0.02 / 24  # far from uniform, for the tolerance
    np.testing.assert_allclose(attention.numpy(), expected, rtol=2e-4, atol=1e-6)


def test_heads_apart_have_the_mean_of_all() -> None:
    net = sharpened(timm.models.VisionTransformer(img_size=(32, 48), patch_size=8, **SIZES))
    with capture_class_attention(net, each_head=True) as attention:
        net(images())
    assert attention().shape == (3, 2, 24) and not torch.equal(attention()[:, 0], attention()[:, 1])
    torch.testing.assert_close(attention().mean(1), captured(net, images()))


def test_timm_distilled() -> None:
    net = sharpened(timm.models.deit.VisionTransformerDistilled(img_size=(32, 48), patch_size=8, **SIZES))
    np.testing.assert_allclose(
        captured(net, images()).numpy(), timm_class_attention(net, images(), 2), rtol=2e-4, atol=1e-6
    )


def test_torchvision() -> None:
    """The layer itself gives its attention when asked for it."""
    net = sharpened(
        torchvision.models.VisionTransformer(
            image_size=32, patch_size=8, num_layers=2, num_heads=2, hidden_dim=16, mlp_dim=32, num_classes=5
        )
    )
    layer, kept = net.encoder.layers[-1].self_attention, []
    handle = layer.register_forward_pre_hook(lambda _, inputs: kept.append(inputs[0].detach()))
    net(images(width=32))
    handle.remove()
    _, expected = layer(*[kept[0]] * 3, need_weights=True, average_attn_weights=True)
    attention = captured(net, images(width=32))
    assert attention.shape == (3, 16)
    torch.testing.assert_close(attention, expected[:, 0, 1:].detach())


@pytest.mark.parametrize("name", ["cait_xxs24_224", "xcit_nano_12_p16_224"])
def test_class_attention_blocks(name: str) -> None:
    """Without fused attention timm hands the matrix to a dropout layer, where it can be read."""
    net = timm.create_model(name, num_classes=5).eval()
    pictures = images(2, 64, 64) if "xcit" in name else images(2, 224, 224)
    blocks = net.cls_attn_blocks if "xcit" in name else net.blocks_token_only
    layer, kept = blocks[-1].attn, []
    layer.fused_attn = False
    layer.attn_drop.register_forward_pre_hook(lambda _, inputs: kept.append(inputs[0].detach()))
    with capture_class_attention(net) as attention:
        net(pictures)
    torch.testing.assert_close(attention(), kept[0].mean(1)[:, 0, 1:])


def test_attention_has_no_gradient_and_costs_the_network_none() -> None:
    net = sharpened(timm.models.VisionTransformer(img_size=32, patch_size=8, **SIZES))
    plain = net(images(width=32))
    with capture_class_attention(net) as attention:
        logits = net(images(width=32))
    assert not attention().requires_grad
    assert torch.equal(plain, logits)


def test_hooks_are_removed_after_an_exception() -> None:
    net = timm.models.VisionTransformer(img_size=32, patch_size=8, **SIZES)
    with pytest.raises(ZeroDivisionError), capture_class_attention(net):
        assert hooks(net) == 1
        raise ZeroDivisionError
    assert hooks(net) == 0


@pytest.mark.parametrize(
    "net, message",
    [
        (lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), "Sequential.*Conv2d.*class token"),
        (lambda: timm.create_model("swin_s3_tiny_224", depths=(1, 1, 1, 1)), "SwinTransformer.*class token"),
        (
            lambda: timm.models.VisionTransformer(class_token=False, global_pool="avg", **SIZES),
            "VisionTransformer.*class token",
        ),
        (lambda: timm.models.VisionTransformer(global_pool="avg", **SIZES), "global_pool='avg'"),
        (
            lambda: timm.models.VisionTransformer(
                block_fn=timm.models.vision_transformer.ParallelScalingBlock, **SIZES
            ),
            "VisionTransformer",
        ),
    ],
    ids=["convolutions", "swin", "no_class_token", "pooled", "other_blocks"],
)
def test_networks_that_cannot_be_read(net: Callable[..., Any], message: str) -> None:
    network = net()
    with pytest.raises(UserError, match=message), capture_class_attention(network):
        pass
    assert hooks(network) == 0


def test_compiled_networks_are_refused() -> None:
    """What is compiled already ignores the hook; what is compiled within the block keeps it for ever."""
    whole, in_place, inside = (
        timm.models.VisionTransformer(img_size=32, patch_size=8, **SIZES) for _ in range(3)
    )
    in_place.compile(backend="eager")
    inside.blocks[-1] = torch.compile(inside.blocks[-1], backend="eager")
    compiled: Any = torch.compile(whole, backend="eager")
    for net in (compiled, in_place, inside):
        with pytest.raises(UserError, match="net._orig_mod"), capture_class_attention(net):
            pass
        assert hooks(net) == 0
    with capture_class_attention(compiled._orig_mod) as attention:
        compiled._orig_mod(images(width=32))
    assert attention().shape == (3, 16)


def test_nothing_captured() -> None:
    net = timm.models.VisionTransformer(img_size=32, patch_size=8, **SIZES)
    with capture_class_attention(net) as attention, pytest.raises(UserError, match="inside the block"):
        attention()
