"""ssl-mix: learn image classifiers from few labels.

``trained = ssl_mix.fit("fixmatch", labeled=..., unlabeled=...)`` trains, ``trained.predict(images)`` uses it;
``from ssl_mix.losses import DecoupledMixupLoss`` and ``from ssl_mix.mixers import Mixup`` serve any training
loop; ``ssl_mix.Trainer`` is the loop of this package, ``ssl_mix.algorithms`` what it trains with. Every name
is imported when it is first asked for: whoever wants one loss loads torch and nothing else.
"""

from typing import TYPE_CHECKING, Any

from ssl_mix._version import __version__
from ssl_mix.imported import imported

if TYPE_CHECKING:
    from ssl_mix.algorithm import Algorithm
    from ssl_mix.banks import PseudoLabelBank
    from ssl_mix.engine.config import TrainConfig
    from ssl_mix.engine.teacher import Teacher
    from ssl_mix.engine.trainer import Trainer
    from ssl_mix.errors import UserError
    from ssl_mix.losses import AsymmetricMixupLoss, DecoupledMixupBCELoss, DecoupledMixupLoss, LUMixLoss
    from ssl_mix.mixers import CutMix, Mixup
    from ssl_mix.mixing.terms import MixingTerms
    from ssl_mix.recipes.auto import auto
    from ssl_mix.recipes.classifier import SemiSupervisedClassifier
    from ssl_mix.recipes.fit import fit, load
    from ssl_mix.types import Batch, MixedTarget, Nets, PseudoLabels, Samples, Step, StepOutput, Task

_PLACES = {
    "ssl_mix.algorithm": ("Algorithm",),
    "ssl_mix.banks": ("PseudoLabelBank",),
    "ssl_mix.engine.config": ("TrainConfig",),
    "ssl_mix.engine.teacher": ("Teacher",),
    "ssl_mix.engine.trainer": ("Trainer",),
    "ssl_mix.errors": ("UserError",),
    "ssl_mix.losses": ("AsymmetricMixupLoss", "DecoupledMixupBCELoss", "DecoupledMixupLoss", "LUMixLoss"),
    "ssl_mix.mixers": ("CutMix", "Mixup"),
    "ssl_mix.mixing.terms": ("MixingTerms",),
    "ssl_mix.recipes.auto": ("auto",),
    "ssl_mix.recipes.classifier": ("SemiSupervisedClassifier",),
    "ssl_mix.recipes.fit": ("fit", "load"),
    "ssl_mix.types": (
        "Batch",
        "MixedTarget",
        "Nets",
        "PseudoLabels",
        "Samples",
        "Step",
        "StepOutput",
        "Task",
    ),
}
_HOME = {name: place for place, names in _PLACES.items() for name in names}

__all__ = [
    "Algorithm",
    "AsymmetricMixupLoss",
    "Batch",
    "CutMix",
    "DecoupledMixupBCELoss",
    "DecoupledMixupLoss",
    "LUMixLoss",
    "MixedTarget",
    "MixingTerms",
    "Mixup",
    "Nets",
    "PseudoLabelBank",
    "PseudoLabels",
    "Samples",
    "SemiSupervisedClassifier",
    "Step",
    "StepOutput",
    "Task",
    "Teacher",
    "TrainConfig",
    "Trainer",
    "UserError",
    "__version__",
    "auto",
    "fit",
    "load",
]


def __getattr__(name: str) -> Any:
    """Import a public name from where it is."""
    if name not in _HOME:
        raise AttributeError(f"module 'ssl_mix' has no attribute {name!r}")
    return getattr(imported(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
