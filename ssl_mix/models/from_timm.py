"""Networks of timm, with their features and their head apart."""

import socket
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

from torch import nn

from ssl_mix.errors import UserError, nearest
from ssl_mix.models.adapted import with_new_head
from ssl_mix.models.pretrained import WITHOUT_DOWNLOAD, with_source_head

WAIT = 10.0  # seconds for a hub to be found


def timm_network(
    name: str,
    num_classes: int,
    *,
    channels: int = 3,
    image_size: int | None = None,
    drop_path: float = 0.0,
    pretrained: bool = False,
) -> nn.Module:
    """Any classifier of timm: timm:deit_small_patch16_224, timm:convnext_tiny, ...

    Its head is that of :func:`ssl_mix.transfer.heads.new_head`, whatever timm draws for this network.

    Args:
        name: for example "deit_small_patch16_224".
        num_classes: C.
        channels: of the images.
        image_size: side of the images, for networks that are built for one size; default: theirs.
        drop_path: chance of a residual branch to be left out (stochastic depth).
        pretrained: fetch the weights.

    Raises:
        ValueError: the name is unknown, the network does not take these options, or the weights cannot be
            fetched.
    """
    import timm  # takes a second

    if not timm.is_model(name):
        raise UserError(f"timm has no network {name!r}.{nearest(name, timm.list_models())}")
    if pretrained and not timm.is_model_pretrained(name):
        raise UserError(f"timm has no weights for {name!r}: leave out `pretrained` or take another network")
    options: dict[str, Any] = {"drop_path_rate": drop_path} if drop_path else {}
    settings = timm.get_pretrained_cfg(name)
    if image_size is not None and settings and settings.fixed_input_size:
        options["img_size"] = image_size
    if pretrained:
        return _fetched(name, num_classes, {"in_chans": channels, **options})
    try:
        body = timm.create_model(name, num_classes=num_classes, in_chans=channels, **options)
    except (TypeError, AssertionError, ValueError) as error:
        raise UserError(f"timm's {name!r} does not take {options}: {error}") from error
    return with_new_head(body, num_classes)


def check_hub(settings: Any) -> None:
    """Raise at once where the hub that holds weights cannot be found, as without a network: its library would
    try for most of a minute, in silence. A slow one is waited for, and weights in its cache need none.

    Args:
        settings: timm's, of a pre-trained network.

    Raises:
        OSError: its name is not known, or it refuses to be talked to.
    """
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    hub = getattr(settings, "hf_hub_id", None)
    if not hub or constants.HF_HUB_OFFLINE:
        return
    if Path(constants.HF_HUB_CACHE, repo_folder_name(repo_id=hub, repo_type="model")).is_dir():
        return
    try:
        with urlopen(Request(constants.ENDPOINT, method="HEAD"), timeout=WAIT):
            return
    except URLError as error:
        if isinstance(error.reason, socket.gaierror | ConnectionError):
            raise OSError(f"{constants.ENDPOINT} cannot be reached ({error.reason})") from error
    except OSError:  # it is slow
        return


def _fetched(name: str, num_classes: int, options: dict[str, Any]) -> nn.Module:
    import timm

    try:
        check_hub(timm.get_pretrained_cfg(name))
        body: Any = timm.create_model(name, pretrained=True, **options)
    except Exception as error:  # a download fails in as many ways as there are libraries below it
        raise UserError(
            f"the weights of timm's {name!r} cannot be fetched: {str(error).rstrip('.')}. {WITHOUT_DOWNLOAD}"
        ) from error
    return with_source_head(body, num_classes)
