"""Mixers: ``mixer(images, labels)`` pairs a batch with itself, ``mixer.mix(images_a, images_b)`` mixes two batches."""

import inspect
from collections.abc import Callable

from ssl_mix.errors import UserError, check_choice
from ssl_mix.mixers._common import sample_beta
from ssl_mix.mixers.cutmix import CutMix
from ssl_mix.mixers.mixer import Mixed, MixedBatch, Mixer, Pair
from ssl_mix.mixers.mixup import Mixup

MIXERS: dict[str, Callable[..., Mixer]] = {
    "mixup": Mixup,
    "cutmix": CutMix,
}

__all__ = [
    "MIXERS",
    "CutMix",
    "Mixed",
    "MixedBatch",
    "Mixer",
    "Mixup",
    "Pair",
    "build_mixer",
    "sample_beta",
]


def build_mixer(name: str, alpha: float | None = None) -> Mixer:
    """The mixer called ``name``, with its own defaults but for ``alpha`` where that is given.

    Raises:
        ValueError: the name is unknown, or the mixer draws its shares otherwise and has no alpha.
    """
    check_choice("mixer", name, MIXERS)
    mixer = MIXERS[name]
    if alpha is None:
        return mixer()
    if "alpha" not in inspect.signature(mixer).parameters:
        raise UserError(f"mixer {name!r} has no alpha: it does not draw its shares from a Beta distribution")
    return mixer(alpha=alpha)
