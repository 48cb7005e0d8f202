"""Optimizers of timm by their names there."""

from typing import Any

import torch

from ssl_mix.errors import UserError, nearest

OURS = ("sgd", "adamw")
KNOWN = ("lamb", "lars", "lion", "muon", "nadamw", "rmsprop")


def check_optimizer(name: str) -> None:
    """Raise unless ``name`` is "sgd", "adamw" or an optimizer of timm that steps by gradients alone."""
    if name in OURS:
        return
    from timm import optim  # takes a second

    theirs = [str(known) for known in optim.list_optimizers() if known not in OURS]
    stepping = [known for known in theirs if not optim.get_optimizer_info(known).second_order]
    if name not in stepping:
        raise UserError(
            f"optimizer must be sgd, adamw or one of timm ({', '.join(KNOWN)}, ...: all are in "
            f"timm.optim.list_optimizers()), got {name!r}.{nearest(str(name), [*OURS, *stepping])}"
        )


def timm_optimizer(
    name: str, groups: list[dict[str, Any]], *, lr: float, momentum: float
) -> torch.optim.Optimizer:
    """The optimizer that timm calls ``name``, with its own defaults.

    Args:
        name: see ``timm.optim.list_optimizers()``.
        groups: of parameters, each with its weight decay.
        lr: of those without one.
        momentum: for optimizers that take it.

    Raises:
        ValueError: it needs a package or a device that is not here.
    """
    from timm import optim

    try:
        return optim.create_optimizer_v2(groups, opt=name, lr=lr, momentum=momentum)
    except (ImportError, AssertionError, RuntimeError, TypeError, ValueError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"`optimizer={name}` cannot be made here ({reason}): choose another") from error
