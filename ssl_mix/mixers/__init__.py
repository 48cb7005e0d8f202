"""Mixers: ``mixer(images, labels)`` pairs a batch with itself, ``mixer.mix(images_a, images_b)`` mixes two
batches.

Examples follow ``import torch`` and ``from ssl_mix.mixers import *``.
"""

import inspect
from collections.abc import Callable
from typing import Literal

from ssl_mix.errors import UserError, check_choice
from ssl_mix.mixers.alignmix import AlignMix
from ssl_mix.mixers.attentivemix import AttentiveMix
from ssl_mix.mixers.automix import AutoMix
from ssl_mix.mixers.class_attention import capture_class_attention
from ssl_mix.mixers.comixup import CoMixup
from ssl_mix.mixers.cutmix import CutMix
from ssl_mix.mixers.fmix import FMix
from ssl_mix.mixers.gridmix import GridMix
from ssl_mix.mixers.manifoldmix import ManifoldMix
from ssl_mix.mixers.mixer import Mixed, MixedBatch, Mixer, Pair
from ssl_mix.mixers.mixup import Mixup
from ssl_mix.mixers.mixup_cutmix import MixupCutMix
from ssl_mix.mixers.moex import MoEx
from ssl_mix.mixers.patch_mixup import PatchMixup
from ssl_mix.mixers.patch_shuffle import PatchShuffle
from ssl_mix.mixers.patchup import HardPatchUp, SoftPatchUp
from ssl_mix.mixers.puzzlemix import PuzzleMix
from ssl_mix.mixers.random_mixer import RandomMixer
from ssl_mix.mixers.recursivemix import History, RecursiveMix
from ssl_mix.mixers.resizemix import ResizeMix
from ssl_mix.mixers.saliencymix import SaliencyMix
from ssl_mix.mixers.samix import SAMix
from ssl_mix.mixers.schedule import MixingSchedule, Unmixed
from ssl_mix.mixers.smoothmix import SmoothMix
from ssl_mix.mixers.snapmix import SnapMix
from ssl_mix.mixers.stylemix import StyleCutMix, StyleMix
from ssl_mix.mixers.tokenmix import TokenMix
from ssl_mix.mixers.tokenmixup import TokenMixup
from ssl_mix.mixers.transmix import transmix_lam

MixerName = Literal[
    "mixup",
    "manifoldmix",
    "cutmix",
    "mixup-cutmix",
    "resizemix",
    "fmix",
    "gridmix",
    "smoothmix",
    "saliencymix",
    "attentivemix",
    "puzzlemix",
    "comixup",
    "automix",
    "samix",
    "patchshuffle",
    "patchmixup",
    "moex",
    "patchup-hard",
    "patchup-soft",
    "alignmix",
    "tokenmixup",
    "snapmix",
    "tokenmix",
    "stylemix",
    "stylecutmix",
]
MIXERS: dict[str, Callable[..., Mixer]] = {
    "mixup": Mixup,
    "manifoldmix": ManifoldMix,
    "automix": AutoMix,
    "samix": SAMix,
    "cutmix": CutMix,
    "mixup-cutmix": MixupCutMix,
    "resizemix": ResizeMix,
    "fmix": FMix,
    "gridmix": GridMix,
    "smoothmix": SmoothMix,
    "saliencymix": SaliencyMix,
    "attentivemix": AttentiveMix,
    "puzzlemix": PuzzleMix,
    "comixup": CoMixup,
    "patchshuffle": PatchShuffle,
    "patchmixup": PatchMixup,
    "snapmix": SnapMix,
    "tokenmix": TokenMix,
    "stylemix": StyleMix,
    "stylecutmix": StyleCutMix,
    "moex": MoEx,
    "patchup-hard": HardPatchUp,
    "patchup-soft": SoftPatchUp,
    "alignmix": AlignMix,
    "tokenmixup": TokenMixup,
}

__all__ = [
    "MIXERS",
    "AlignMix",
    "AttentiveMix",
    "AutoMix",
    "CoMixup",
    "CutMix",
    "FMix",
    "GridMix",
    "HardPatchUp",
    "History",
    "ManifoldMix",
    "Mixed",
    "MixedBatch",
    "Mixer",
    "MixerName",
    "MixingSchedule",
    "Mixup",
    "MixupCutMix",
    "MoEx",
    "Pair",
    "PatchMixup",
    "PatchShuffle",
    "PuzzleMix",
    "RandomMixer",
    "RecursiveMix",
    "ResizeMix",
    "SAMix",
    "SaliencyMix",
    "SmoothMix",
    "SnapMix",
    "SoftPatchUp",
    "StyleCutMix",
    "StyleMix",
    "TokenMix",
    "TokenMixup",
    "Unmixed",
    "build_mixer",
    "capture_class_attention",
    "transmix_lam",
]


def build_mixer(name: str, alpha: float | None = None) -> Mixer:
    """The mixer called ``name``, with its own defaults but for ``alpha`` where that is given; of
    "mixup-cutmix" it is Mixup's.

    Raises:
        ValueError: the name is unknown, or the mixer draws its shares otherwise and has no alpha.

    Examples:
        >>> build_mixer("cutmix"), build_mixer("mixup", alpha=0.2)
        (CutMix(alpha=1.0), Mixup(alpha=0.2))
    """
    check_choice("mixer", name, MIXERS)
    mixer = MIXERS[name]
    if alpha is None:
        return mixer()
    taken = next((n for n in ("alpha", "mixup_alpha") if n in inspect.signature(mixer).parameters), None)
    if taken is None:
        raise UserError(f"mixer {name!r} has no alpha: it does not draw its shares from a Beta distribution")
    return mixer(**{taken: alpha})
