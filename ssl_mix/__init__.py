"""ssl-mix: learn image classifiers from few labels.

``from ssl_mix.losses import DecoupledMixupLoss`` and ``from ssl_mix.mixers import Mixup`` serve any training
loop; ``ssl_mix.Trainer`` is the loop of this package, ``ssl_mix.algorithms`` what it trains with.
"""

from typing import TYPE_CHECKING, Any

from ssl_mix._version import __version__
from ssl_mix.algorithm import Algorithm
from ssl_mix.banks import PseudoLabelBank
from ssl_mix.errors import UserError
from ssl_mix.losses import AsymmetricMixupLoss, DecoupledMixupBCELoss, DecoupledMixupLoss, LUMixLoss
from ssl_mix.mixers import CutMix, Mixup
from ssl_mix.mixing.terms import MixingTerms
from ssl_mix.types import Batch, MixedTarget, Nets, PseudoLabels, Samples, Step, StepOutput, Task

if TYPE_CHECKING:
    from ssl_mix.engine.config import TrainConfig
    from ssl_mix.engine.teacher import Teacher
    from ssl_mix.engine.trainer import Trainer

__all__ = [
    "Algorithm",
    "MixingTerms",
    "AsymmetricMixupLoss",
    "Batch",
    "CutMix",
    "DecoupledMixupBCELoss",
    "DecoupledMixupLoss",
    "LUMixLoss",
    "MixedTarget",
    "Mixup",
    "Nets",
    "PseudoLabelBank",
    "PseudoLabels",
    "Samples",
    "Step",
    "StepOutput",
    "Task",
    "Teacher",
    "TrainConfig",
    "Trainer",
    "UserError",
    "__version__",
]


def __getattr__(name: str) -> Any:
    """Import the trainer when it is first asked for: whoever wants one loss need not load the data sets'
    libraries."""
    if name == "TrainConfig":
        from ssl_mix.engine.config import TrainConfig

        return TrainConfig
    if name == "Teacher":
        from ssl_mix.engine.teacher import Teacher

        return Teacher
    if name == "Trainer":
        from ssl_mix.engine.trainer import Trainer

        return Trainer
    raise AttributeError(f"module 'ssl_mix' has no attribute {name!r}")
