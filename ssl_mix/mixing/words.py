"""The words of mixing: what each option may be, and what it means."""

from typing import Literal, NamedTuple, get_args

from ssl_mix.mixers import MIXERS

Mix = Literal["none", "mixup", "dm", "as", "dm-as"]
Ramp = Literal["cosine", "none"]
MixHead = Literal["shared", "own"]
VariantName = Literal["paper", "openmixup"]


WORDS: dict[str, str] = {
    "none": "nothing is mixed; the control of mixup",
    "mixup": "labeled images with each other, any share; mixup cross-entropy; the control of dm",
    "dm": "the same, and each class of a pair is also told from all others but its partner (decoupled)",
    "as": "labeled images into unlabeled ones (asymmetric); the labeled image has the smaller share, and its "
    "class alone is decoupled, for the other is a pseudo-label",
    "dm-as": "dm and as together",
}


class Variant(NamedTuple):
    """What the paper and its authors' transfer code (OpenMixup) do differently.

    Attributes:
        labeled_share: whether the labeled image has the smaller or the larger share of an asymmetric pair.
        both_halves: whether both classes of an asymmetric pair are decoupled, or the labeled one alone.
        masked: whether the algorithm's confidence mask counts in the asymmetric term.
        moves_statistics: whether mixed images move the running batch-norm statistics.
        eta_power: weights each decoupled half by its own share to this power.
    """

    labeled_share: Literal["minor", "major"]
    both_halves: bool
    masked: bool
    moves_statistics: bool
    eta_power: float


VARIANTS: dict[str, Variant] = {
    "paper": Variant("minor", both_halves=False, masked=True, moves_statistics=False, eta_power=0.0),
    "openmixup": Variant("major", both_halves=True, masked=False, moves_statistics=True, eta_power=1.0),
}

CHOICES: dict[str, tuple[str, ...]] = {
    "mix": get_args(Mix),
    "mixer": tuple(MIXERS),
    "mix_ramp": get_args(Ramp),
    "mix_head": get_args(MixHead),
    "mix_variant": get_args(VariantName),
}
