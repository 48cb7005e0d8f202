"""Weights that a network starts from: a file, or a run of before."""

import copy
import pickle
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ssl_mix.errors import UserError
from ssl_mix.models.adapted import Adapted, adapt
from ssl_mix.models.lora import merged
from ssl_mix.passes import backbone
from ssl_mix.transfer.head_net import on_body_as
from ssl_mix.transfer.heads import new_head

PREFIXES = ("module.", "backbone.")
WRAPPERS = ("state_dict", "model", "teacher")
SUFFIXES = (".pth", ".pt", ".safetensors")
WITHOUT_DOWNLOAD = "Give a local file (`pretrained=FILE`), or start from random weights (`pretrained=none`)"
State = dict[str, Tensor]


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
        source: a state dict (.pth, .pt, .safetensors), bare or under "state_dict", "model" or "teacher",
            whose names may all begin with "module." or "backbone."; or the folder of a run.
        keep_head: whether a classifier of the right shape is taken over; if not, the head is new, see
            :func:`ssl_mix.transfer.heads.new_head`.

    Raises:
        ValueError: no such file, no state dict, or a weight other than the head's that is missing or has
            another shape.
    """
    state = read_weights(source)
    if "center" in state:  # a classifier of features, on their body
        keep_head = keep_head and len(state["top.head.weight"]) == backbone(net).head.out_features
        net = on_body_as(net, state) if keep_head else net
        state = state if keep_head else _inside(state)
    own = net.state_dict()
    state = _renamed(state, net, own)
    head, old = _head_name(net), backbone(net).head
    weight, bias = state.get(f"{head}.weight"), state.get(f"{head}.bias")
    notes = []
    if weight is None or weight.shape != own[f"{head}.weight"].shape or not keep_head:
        classes = len(own[f"{head}.weight"])
        had = "no classifier" if weight is None else f"one of other classes, of shape {list(weight.shape)}"
        notes.append(f"the head is new, with random weights for {classes} classes: {source} has {had}")
        state = {name: value for name, value in state.items() if not name.startswith(f"{head}.")}
        new = new_head(old.in_features, old.out_features, bias=old.bias is not None)
        state |= {f"{head}.{name}": value for name, value in new.state_dict().items()}
    else:
        notes.append(f"the head is that of {source}, which has as many classes: it is not new")
    _check(state, own, source, type(getattr(net, "body", net)).__name__)
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


def read_weights(source: Path) -> State:
    """The state dict in a file, or of the teacher of a run.

    Raises:
        ValueError: there is none, or the file holds anything but tensors and plain values.
    """
    if source.is_dir():
        return _of_run(source)
    if not source.is_file():
        raise UserError(
            f"pretrained must be none, default, a file or the folder of a run; {source} is not there"
        )
    if source.suffix not in SUFFIXES:
        raise UserError(f"weights are read from {', '.join(SUFFIXES)}, not from {source}")
    content = _read(source)
    for wrapper in WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if not isinstance(content, dict) or not content or not all(torch.is_tensor(v) for v in content.values()):
        raise UserError(
            f"{source} holds no state dict: expected tensors by name, bare or under {', '.join(WRAPPERS)}"
        )
    return dict(content)


def _read(source: Path) -> Any:
    try:
        if source.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(source)
        return torch.load(source, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{source} holds something else than tensors and plain values by name: save weights with "
            "torch.save(net.state_dict(), FILE)"
        ) from error
    except Exception as error:  # as many kinds as there are ways to damage a file
        reason = (f"{type(error).__name__} {error}".strip()).splitlines()[0]
        raise UserError(f"{source} cannot be read as weights (tensors and plain values): {reason}") from error


def _of_run(folder: Path) -> State:
    checkpoint = folder / "checkpoint.pt"
    if not checkpoint.is_file():
        raise UserError(
            f"{folder} is no trained run ({checkpoint.name} is missing): give a file, or the folder of a run"
        )
    state = merged(_read(checkpoint)["teacher"])
    body = folder / "body.pt"
    if not body.is_file():
        return state
    content = _read(body)  # of a run that trained a head alone
    top = {f"top.{name}": value for name, value in state.items() if name.startswith("head.")}
    return (
        {f"body.{name}": value for name, value in content["body"].items()}
        | top
        | {"center": content["center"]}
    )


def _inside(state: State) -> State:
    """What belongs to the body."""
    return {name.removeprefix("body."): v for name, v in state.items() if name.startswith("body.")}


def _renamed(state: State, net: nn.Module, own: State) -> State:
    """Names as ``net`` has them: without a common prefix, and within the ``body`` of an adapted network."""
    for prefix in PREFIXES:
        if all(name.startswith(prefix) for name in state):
            state = {name.removeprefix(prefix): value for name, value in state.items()}
    if not isinstance(net, Adapted):
        return state
    inside = {f"body.{name}": value for name, value in state.items()}
    return inside if len(inside.keys() & own.keys()) > len(state.keys() & own.keys()) else state


def _theirs(name: str) -> str:
    """The name that a weight has in the file of a library's network."""
    return name.removeprefix("body.")


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


def _check(state: State, own: State, source: Path, network: str) -> None:
    wrong = []
    for name, value in own.items():
        if name not in state:  # weights of long ago do not count batches
            wrong += [] if name.endswith("num_batches_tracked") else [f"{_theirs(name)} is missing"]
        elif state[name].shape != value.shape:
            had = list(state[name].shape)
            wrong.append(f"{_theirs(name)} should have shape {list(value.shape)}, has {had}")
    if wrong:
        more = f"; and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise UserError(
            f"the weights of {source} do not fit this network ({network}): {'; '.join(wrong[:5])}{more}"
        )
