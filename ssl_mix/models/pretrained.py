"""Weights that a network starts from: a file, or a run of before."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ssl_mix.errors import UserError
from ssl_mix.models.adapted import Adapted, adapt
from ssl_mix.models.fitting_state import fitting_state, notes_of
from ssl_mix.models.lora import merged
from ssl_mix.models.positions import with_positions
from ssl_mix.models.weight_files import State, described, read_states
from ssl_mix.passes import backbone
from ssl_mix.transfer.head_net import on_body_as
from ssl_mix.transfer.heads import new_head

UNCOUNTED = "num_batches_tracked"  # weights of long ago do not count batches
WITHOUT_DOWNLOAD = "Give a local file (`pretrained=FILE`), or start from random weights (`pretrained=none`)"


class Pretrained(NamedTuple):
    """A network with loaded weights.

    Attributes:
        net: the network.
        source_head: the classifier of the weights, (source classes, D), if they had one.
        notes: what the user should know.
    """

    net: nn.Module
    source_head: nn.Linear | None
    notes: tuple[str, ...]


def load_pretrained(net: nn.Module, source: Path, *, keep_head: bool = True) -> Pretrained:
    """Give ``net`` the weights of a file or of a run's teacher, and a new head where theirs has another
    shape.

    Args:
        net: a network of :func:`ssl_mix.models.build_model` or :func:`ssl_mix.models.adapt`, changed in
            place. Keeps the source head beside itself, see :func:`source_classifier`. Where the weights end
            in a classifier of features that is kept, the result is :class:`ssl_mix.transfer.head_net.OnBody`.
        source: a file, of which the part that fits the network is found: a state dict, bare or under any
            entries ("state_dict", "model_ema", "teacher"), whose names may all begin with anything
            ("module.", "backbone."), or a pickled network; a moving average goes first. Or the folder of a
            run.
        keep_head: whether a classifier of the right shape is taken over; if not, the head is new, see
            :func:`ssl_mix.transfer.heads.new_head`.

    Raises:
        ValueError: no such file, no state dict, or a weight other than the head's that is missing or has
            another shape.
    """
    states = {"": _of_run(source)} if source.is_dir() else read_states(source)
    if "center" in states.get("", {}):  # a classifier of features, on their body
        whole = states[""]
        keep_head = keep_head and len(whole["top.head.weight"]) == backbone(net).head.out_features
        net = on_body_as(net, whole) if keep_head else net
        states = {"": whole if keep_head else _inside(whole)}
    own = net.state_dict()
    head, old = _head_name(net), backbone(net).head
    state, notes = _chosen(net, own, head, states, source)
    weight, bias = state.get(f"{head}.weight"), state.get(f"{head}.bias")
    if weight is not None and bias is None and old.bias is not None:
        bias = state[f"{head}.bias"] = weight.new_zeros(len(weight))
    if weight is None or weight.shape != own[f"{head}.weight"].shape or not keep_head:
        classes = len(own[f"{head}.weight"])
        had = "no classifier" if weight is None else f"one of other classes, of shape {list(weight.shape)}"
        notes.append(f"the head is new, for {classes} classes: {source} has {had}")
        state = {name: value for name, value in state.items() if not name.startswith(f"{head}.")}
        new = new_head(old.in_features, old.out_features, bias=old.bias is not None)
        state |= {f"{head}.{name}": value for name, value in new.state_dict().items()}
    else:
        notes.append(f"the head is that of {source}, which has as many classes: it is not new")
    unused = sorted(state.keys() - own.keys())
    if unused:
        notes.append(
            f"{len(unused)} weights of {source} have no place in the network, {_theirs(unused[0])!r} for one"
        )
    net.load_state_dict(state, strict=False)
    source_head = _linear(weight, bias)
    keep_source_head(net, source_head)
    vars(net)["loading_notes"] = tuple(notes)
    return Pretrained(net, source_head, tuple(notes))


def with_source_head(net: nn.Module, num_classes: int) -> nn.Module:
    """A network with a library's weights, adapted: its classifier is kept beside it, and goes on as its head
    where it has as many classes; else the head is new."""
    adapted = adapt(net)
    source = backbone(adapted).head
    keep_source_head(adapted, copy.deepcopy(source))
    if source.out_features != num_classes:
        adapted.head = new_head(source.in_features, num_classes)
    return adapted


def keep_source_head(net: nn.Module, head: nn.Linear | None) -> None:
    """Remember the classifier that came with the weights, beside the network and not as a part of it: no
    state, no training."""
    vars(net)["source_head"] = head


def source_classifier(net: nn.Module) -> nn.Linear | None:
    """The classifier that came with the weights ``net`` started from, (source classes, D), or None.

    It reads ``net.features``. It is a copy of its own and no sub-module of ``net``: who trains it must
    register it, as ``source_head``. Its learning rate is then that of the pre-trained layers. On the CPU
    until it is registered and moved.
    """
    head = getattr(net, "source_head", None)
    return head if isinstance(head, nn.Linear) else None


def restore_source_head(net: nn.Module, state: State) -> None:
    """Give ``net`` the source head of a checkpoint of a network that had registered it as ``source_head``, if
    there is one."""
    keep_source_head(net, _linear(state.get("source_head.weight"), state.get("source_head.bias")))


def loading_notes(net: nn.Module) -> tuple[str, ...]:
    """What the user should know of the weights that ``net`` started from."""
    return tuple(vars(net).get("loading_notes", ()))


def _chosen(
    net: nn.Module, own: State, head: str, states: Mapping[str, State], source: Path
) -> tuple[State, list[str]]:
    """The weights of ``source`` that fit the network, under its names, and what to tell of them.

    Raises:
        ValueError: there are none.
    """
    inside = "body." if isinstance(net, Adapted) else ""
    shapes = {_theirs(name, inside): value.shape for name, value in own.items()}
    own_head = {f"{_theirs(head, inside)}.{part}" for part in ("weight", "bias")}
    needed = {name for name in shapes.keys() - own_head if not name.endswith(UNCOUNTED)}
    fits = fitting_state(states, shapes, needed)
    if fits and not fits[0].whole:
        other = with_positions(getattr(net, "body", net), fits[0].state, shapes)
        if other is not fits[0].state:
            resized = fitting_state({fits[0].place: other}, shapes, needed)
            fits = resized if resized[0].whole else fits
    if not fits or not fits[0].whole:
        wanted = {name: shape for name, shape in shapes.items() if name in needed}
        wrong = _misfits(fits[0].state if fits else {}, wanted)
        raise UserError(
            f"the weights of {source} do not fit this network ({type(getattr(net, 'body', net)).__name__}): "
            f"{wrong}{_cause(fits[0].state if fits else {}, wanted)}. It holds {described(states, source)}"
        )
    return {f"{inside}{name}": value for name, value in fits[0].state.items()}, notes_of(fits, source)


def _of_run(folder: Path) -> State:
    checkpoint = folder / "checkpoint.pt"
    if not checkpoint.is_file():
        raise UserError(
            f"{folder} is no trained run ({checkpoint.name} is missing): give a file, or the folder of a run"
        )
    state = merged(read_states(checkpoint)["teacher"])
    if not (folder / "body.pt").is_file():
        return state
    body = read_states(folder / "body.pt")  # of a run that trained a head alone
    top = {f"top.{name}": value for name, value in state.items() if name.startswith("head.")}
    return {f"body.{name}": value for name, value in body["body"].items()} | top | body[""]


def _inside(state: State) -> State:
    """What belongs to the body."""
    return {name.removeprefix("body."): v for name, v in state.items() if name.startswith("body.")}


def _theirs(name: str, inside: str = "body.") -> str:
    """The name that a weight has in the file of a library's network."""
    return name.removeprefix(inside)


def _head_name(net: nn.Module) -> str:
    names: list[str] = [name for name, module in net.named_modules() if module is net.head]
    return names[0]


def _linear(weight: Tensor | None, bias: Tensor | None) -> nn.Linear | None:
    if weight is None or weight.ndim != 2:
        return None
    with torch.random.fork_rng(devices=[]):  # its first weights are drawn in vain
        head = nn.Linear(weight.shape[1], len(weight), bias=bias is not None)
    with torch.no_grad():
        head.weight.copy_(weight)
        if bias is not None:
            head.bias.copy_(bias)
    return head


def _misfits(state: State, own: dict[str, torch.Size]) -> str:
    """What is missing in a state dict, or of another shape."""
    wrong = [
        f"{name} is missing"
        if name not in state
        else f"{name} should have shape {list(shape)}, has {list(state[name].shape)}"
        for name, shape in own.items()
        if name not in state or state[name].shape != shape
    ]
    more = f"; and {len(wrong) - 5} more" if len(wrong) > 5 else ""
    return "; ".join(wrong[:5]) + more


def _cause(state: State, own: dict[str, torch.Size]) -> str:
    """What to do where images alone, and not the network, are others than those of the weights."""
    if not own.keys() <= state.keys():
        return ""
    wrong = {name: (state[name].shape, shape) for name, shape in own.items() if state[name].shape != shape}
    if all(name.endswith("pos_embed") for name in wrong):
        return ": the weights are for images of another size, leave out `image_size`"
    [(had, wanted), *others] = wrong.values()
    if len(had) == 4 and (had[0], had[2:]) == (wanted[0], wanted[2:]) and not others:
        return f": the weights are for images of {had[1]} channels, repeat a gray one where these have one"
    return ""
