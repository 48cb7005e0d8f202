"""Files of weights alone, under the names that other loaders know."""

from pathlib import Path
from typing import Any

import timm
from safetensors.torch import save_file
from torch import Tensor, nn

from ssl_mix.errors import UserError
from ssl_mix.export.deployed import KEY, About
from ssl_mix.export.graphs import described
from ssl_mix.transfer.head_net import OnBody

State = dict[str, Tensor]


def write_safetensors(net: nn.Module, about: About, path: Path) -> None:
    """The weights under the names that they have here: ``--pretrained FILE`` starts from them."""
    save(net.state_dict(), about, path)


def write_timm(net: nn.Module, about: About, path: Path) -> None:
    """The weights that ``timm.create_model(NAME, num_classes=C)`` loads with no key left over."""
    save(timm_body(net).state_dict(), about, path)


def save(state: State, about: About, path: Path) -> None:
    """Weights with their description."""
    whole = {name: value.detach().cpu().contiguous().clone() for name, value in state.items()}
    save_file(whole, path, metadata={"format": "pt", KEY: described(about)})


def timm_body(net: nn.Module) -> Any:
    """The network of timm inside of one that was trained.

    Raises:
        ValueError: it is none of timm's, or was changed so that timm builds no network like it.
    """
    if isinstance(net, OnBody):
        raise UserError(
            "a head on features that are centered and of one length (`tune=head`, auto) is no network of "
            "timm's: take `to=exported`, `to=onnx` or `to=safetensors`"
        )
    body: Any = getattr(net, "body", None)
    config = getattr(body, "pretrained_cfg", None)
    name = None if config is None else config.get("architecture")
    if name is None or not timm.is_model(name):
        raise UserError("this network is none of timm's: take `to=exported`, `to=onnx` or `to=safetensors`")
    return body


def rebuilt(net: nn.Module, about: About) -> nn.Module:
    """What timm makes of the weights of its network, built anew by its name.

    Raises:
        ValueError: they do not fit.
    """
    body = timm_body(net)
    name, options = body.pretrained_cfg["architecture"], timm_options(net, about)
    made: nn.Module = timm.create_model(name, num_classes=len(about.classes), **options)
    try:
        made.load_state_dict(body.state_dict())
    except RuntimeError as error:
        raise UserError(
            f"timm's {name} does not take these weights, the network was changed in training "
            f"({str(error).splitlines()[0]}): take `to=exported`"
        ) from error
    return made.eval()


def timm_options(net: nn.Module, about: About) -> dict[str, Any]:
    """What ``timm.create_model`` must be told besides name and classes."""
    fixed = timm_body(net).pretrained_cfg.get("fixed_input_size", False)
    channels = {"in_chans": about.channels} if about.channels != 3 else {}
    return {**channels, **({"img_size": about.size} if fixed else {})}
