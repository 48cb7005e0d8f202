"""Low-rank adapters beside frozen weights (Hu et al., 2021), through peft."""

from typing import Any

import torch
from torch import Tensor, nn

from ssl_mix.errors import UserError
from ssl_mix.passes import backbone, is_backbone
from ssl_mix.randomness import stream_seed

RANK = 8
BASE, A, B = ".base_layer.", ".lora_A.default.weight", ".lora_B.default.weight"
NEEDED = "`tune=lora` needs the package peft: pip install 'ssl-mix[lora]'"


def add_adapters(net: nn.Module, shape: tuple[int, int, int], seed: int) -> None:
    """Train low-rank changes of the weights of a network, and its head, and leave the weights as they are.

    ``W x`` becomes ``W x + B A x`` with A of rank 8 drawn at random and B zero, so that nothing changes at
    first. Linear layers and convolutions that are neither grouped nor dilated get them, where a forward pass
    calls them: some networks of timm read the weights of a layer themselves, which an adapter would not
    notice.

    Args:
        net: with a linear ``head``; changed in place, by peft.
        shape: (C, H, W) of its images.
        seed: of the draws, which have a stream of their own.

    Raises:
        ValueError: peft is not installed, or no layer can have an adapter.
    """
    peft = find_peft()
    heads = {module.head for module in net.modules() if is_backbone(module)}
    layers = {name: module for name, module in net.named_modules() if _able(module) and module not in heads}
    names = _called(net, layers, shape)
    if not names:
        raise UserError(
            f"`tune=lora` adapts linear layers and convolutions, and {type(net).__name__} has none of them"
        )
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(stream_seed(seed, "lora"))
        peft.inject_adapter_in_model(
            peft.LoraConfig(r=RANK, lora_alpha=RANK, target_modules=names), net, low_cpu_mem_usage=False
        )
    backbone(net).head.requires_grad_(True)


def merged(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The state of the same network without adapters: ``W + B A`` for each layer that has them, (out, in) or
    (out, in, h, w). Other states are returned as they are."""
    found = dict(state)
    for layer in [name.removesuffix(A) for name in state if name.endswith(A)]:
        low, high = found.pop(f"{layer}{A}"), found.pop(f"{layer}{B}")
        change = torch.einsum("or,r...->o...", high.flatten(1), low)
        found[f"{layer}.weight"] = found.pop(f"{layer}{BASE}weight") + change
        if f"{layer}{BASE}bias" in found:
            found[f"{layer}.bias"] = found.pop(f"{layer}{BASE}bias")
    return found


def find_peft() -> Any:
    """The package, which takes seconds to import.

    Raises:
        ValueError: it is not installed.
    """
    try:
        import peft
    except ImportError as error:
        raise UserError(NEEDED) from error
    return peft


def _able(module: nn.Module) -> bool:
    """Whether peft adds to what the layer computes; a layer that alters its weights first is another kind."""
    from timm.layers import Conv2dSame

    if type(module) in (nn.Conv2d, Conv2dSame):
        conv: Any = module
        return bool(conv.groups == 1 and conv.dilation == (1, 1) and conv.padding_mode == "zeros")
    return type(module) is nn.Linear


def _called(net: nn.Module, layers: dict[str, nn.Module], shape: tuple[int, int, int]) -> list[str]:
    """The names of the layers that a forward pass of two black images calls."""
    called: list[str] = []
    handles = [
        layer.register_forward_hook(lambda *_, name=name: called.append(name))
        for name, layer in layers.items()
    ]
    weight, training = next(net.parameters()), [module for module in net.modules() if module.training]
    try:
        net.eval()(torch.zeros(2, *shape, device=weight.device, dtype=weight.dtype))
    finally:
        for handle in handles:
            handle.remove()
        for module in training:
            module.training = True
    return list(dict.fromkeys(called))
