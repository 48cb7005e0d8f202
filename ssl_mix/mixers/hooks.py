"""Layers of a network by name, and hooks on them that are always removed."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from torch import Tensor, nn

from ssl_mix.errors import UserError, nearest, with_article
from ssl_mix.ranks import gathered, own_rows
from ssl_mix.stages import stage_names

WRAPPED = ("module", "_orig_mod")


def unwrapped(net: nn.Module) -> nn.Module:
    """The network inside ``AveragedModel``, ``DistributedDataParallel`` or ``torch.compile``; any other
    network itself."""
    for name in WRAPPED:
        inner = getattr(net, name, None)
        if isinstance(inner, nn.Module) and len(dict(net.named_children())) == 1:
            return unwrapped(inner)
    return net


def hidden_layer_names(net: nn.Module) -> Sequence[str]:
    """The stages of the network, see :func:`ssl_mix.stages.stage_names`.

    Raises:
        ValueError: it names none.
    """
    inner = unwrapped(net)
    names = stage_names(inner)
    if not names:
        children = ", ".join(name for name, _ in inner.named_children())
        raise UserError(
            f"{type(inner).__name__} has no hidden_layers that name its stages: name layers yourself, for "
            f'instance layers=("input", "layer1", "layer2") or layer="layer3". It is made of: {children}'
        )
    return names


def find_layer(net: nn.Module, name: str) -> nn.Module:
    """The layer that ``net.named_modules()`` calls ``name``, wrappers left out.

    Raises:
        ValueError: there is none.
    """
    layers: dict[str, nn.Module] = dict(unwrapped(net).named_modules())
    if not name or name not in layers:
        children = ", ".join(child for child, _ in unwrapped(net).named_children())
        raise UserError(
            f"{type(unwrapped(net)).__name__} has no layer {name!r}.{nearest(name, layers)} It is made of: "
            f"{children}"
        )
    return layers[name]


def check_net(net: nn.Module | None, mixer: object) -> nn.Module:
    """The network, or an error where ``mixer`` got none."""
    if net is None:
        raise UserError(f"{type(mixer).__name__} needs the network: pass net=...")
    return net


def check_uncompiled(net: nn.Module) -> None:
    """Raise where the network or a part of it is compiled: it ignores a hook, or, traced with it, keeps it
    for ever."""
    if any(
        hasattr(part, "_orig_mod") or getattr(part, "_compiled_call_impl", None) for part in net.modules()
    ):
        raise UserError(
            "torch.compile has compiled the network or a part of it, whose layers no hook can reach: "
            "pass, and run, the uncompiled module (net._orig_mod)"
        )


@contextmanager
def replaced_output(net: nn.Module, name: str, change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Within the block the layer called ``name`` returns ``change(output)``; it must run exactly once.

    Raises:
        ValueError: there is no such layer, it returns something else than one tensor, it ran never or twice,
            or the network is compiled.
    """
    check_uncompiled(net)
    runs = 0

    def hook(layer: nn.Module, _: object, output: object) -> Tensor:
        nonlocal runs
        runs += 1
        if runs > 1:
            raise UserError(
                f"layer {name!r} ran twice while mixed: run the network once, "
                "and choose a layer that is used once in a forward pass"
            )
        if not isinstance(output, Tensor) or not output.is_floating_point():
            kind = f"{output.dtype}" if isinstance(output, Tensor) else with_article(type(output).__name__)
            raise UserError(
                f"layer {name!r} ({type(layer).__name__}) must return one float tensor, got {kind}"
            )
        return own_rows(change(gathered(output)))

    handle = find_layer(net, name).register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()
    if not runs:
        raise UserError(
            f"layer {name!r} never ran: run the network inside the block, "
            "and choose a layer that its forward pass calls"
        )
