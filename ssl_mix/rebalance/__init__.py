"""Add-ons that make algorithms with pseudo-labels fair to rare classes, one file each. ``ADDONS`` is the
registry."""

from typing import Literal, get_args

from ssl_mix.errors import UserError, check_choice
from ssl_mix.rebalance.abc import ABC
from ssl_mix.rebalance.addon import Addon
from ssl_mix.rebalance.cossl import CoSSL
from ssl_mix.rebalance.crest import CReST, CReSTPlus
from ssl_mix.rebalance.darp import DARP
from ssl_mix.rebalance.daso import DASO
from ssl_mix.rebalance.debiaspl import DebiasPL
from ssl_mix.rebalance.saw import SAW
from ssl_mix.rebalance.tras import TRAS

Rebalance = Literal["none", "abc", "darp", "daso", "saw", "cossl", "tras", "debiaspl", "crest", "crest+"]
ADDONS: dict[str, type[Addon]] = {
    "abc": ABC,
    "darp": DARP,
    "daso": DASO,
    "saw": SAW,
    "cossl": CoSSL,
    "tras": TRAS,
    "debiaspl": DebiasPL,
    "crest": CReST,
    "crest+": CReSTPlus,
}
assert get_args(Rebalance)[1:] == tuple(ADDONS)  # a type cannot be made of a dict

__all__ = [
    "ABC",
    "ADDONS",
    "DARP",
    "DASO",
    "SAW",
    "TRAS",
    "CReST",
    "CReSTPlus",
    "CoSSL",
    "DebiasPL",
    "Addon",
    "Rebalance",
    "build_addon",
    "check_addon",
]


def build_addon(name: Rebalance) -> Addon | None:
    """The add-on of that name, with the settings of its source; None for "none"."""
    check_choice("name", name, ("none", *ADDONS))
    return None if name == "none" else ADDONS[name]()


def check_addon(
    name: Rebalance, algorithm: str, fixed: bool, chosen: bool, margins: bool, remembers: bool
) -> None:
    """Raise where an algorithm has no place for an add-on.

    Args:
        name: of the add-on.
        algorithm: its name.
        fixed: whether it makes or uses pseudo-labels in a way of its own.
        chosen: whether it chooses which of them count.
        margins: whether the logits that learn from them may be given margins.
        remembers: whether it has a memory of single labeled images.
    """
    check_choice("name", name, ("none", *ADDONS))
    if name == "none":
        return
    addon = ADDONS[name]
    if fixed or (addon.has_margins and not margins):
        reason = "makes or uses them in a way of its own"
    elif addon.chooses and not chosen:
        reason = "chooses none by itself"
    elif addon.joins and remembers:
        reason = "remembers every labeled image by itself, so that no other may take its place"
    else:
        return
    raise UserError(f"`rebalance={name}` is for plain pseudo-labels, and {algorithm} {reason}: leave it out")
