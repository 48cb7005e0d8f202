"""Mixup or CutMix, as timm's recipes switch between them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ssl_mix.errors import check_positive
from ssl_mix.mixers.cutmix import CutMix
from ssl_mix.mixers.mixer import Mixer
from ssl_mix.mixers.mixup import Mixup
from ssl_mix.mixers.random_mixer import RandomMixer


@dataclass(frozen=True)
class MixupCutMix(RandomMixer):
    """Mix each image by Mixup or by CutMix, with even chances.

    The defaults are those of timm's and DeiT's ImageNet recipes. Differs from timm: the switch is drawn for
    each image, not for the whole batch, as are lam and the box.

    Args:
        prob: chance of an image to be mixed.
        mixup_alpha: lam ~ Beta(alpha, alpha) of Mixup.
        cutmix_alpha: the same of CutMix.

    Raises:
        ValueError: an argument is out of range.

    Source: Touvron et al., "Training data-efficient image transformers" (DeiT, ICML 2021), table 9; timm's
    ``Mixup`` with ``switch_prob`` 0.5.

    Examples:
        >>> MixupCutMix().shares()
        {Mixup(alpha=0.8): 0.5, CutMix(alpha=1.0): 0.5, Unmixed(): 0.0}
    """

    mixers: Mapping[Mixer, float] = field(init=False, repr=False, hash=False)
    mixup_alpha: float = 0.8
    cutmix_alpha: float = 1.0

    def __post_init__(self) -> None:
        for name in ("mixup_alpha", "cutmix_alpha"):
            check_positive(name, getattr(self, name))
        object.__setattr__(self, "mixers", {Mixup(self.mixup_alpha): 1.0, CutMix(self.cutmix_alpha): 1.0})
        super().__post_init__()
