"""Training algorithms, one file each. ``ALGORITHMS`` is the registry."""

if __name__ != "ssl_mix.algorithms":
    raise ImportError(f"this folder is the package ssl_mix.algorithms, not {__name__!r}")

from ssl_mix.algorithm import Algorithm  # noqa: E402
from ssl_mix.algorithms.fixmatch import FixMatch  # noqa: E402
from ssl_mix.algorithms.flexmatch import FlexMatch  # noqa: E402
from ssl_mix.algorithms.freematch import FreeMatch  # noqa: E402
from ssl_mix.algorithms.mean_teacher import MeanTeacher  # noqa: E402
from ssl_mix.algorithms.mixmatch import MixMatch  # noqa: E402
from ssl_mix.algorithms.pi_model import PiModel  # noqa: E402
from ssl_mix.algorithms.pseudo_label import PseudoLabel  # noqa: E402
from ssl_mix.algorithms.remixmatch import ReMixMatch  # noqa: E402
from ssl_mix.algorithms.softmatch import SoftMatch  # noqa: E402
from ssl_mix.algorithms.supervised import Supervised  # noqa: E402
from ssl_mix.algorithms.uda import UDA  # noqa: E402
from ssl_mix.algorithms.vat import VAT  # noqa: E402

ALGORITHMS: dict[str, type[Algorithm]] = {
    "supervised": Supervised,
    "pseudo-label": PseudoLabel,
    "pi-model": PiModel,
    "mean-teacher": MeanTeacher,
    "vat": VAT,
    "mixmatch": MixMatch,
    "remixmatch": ReMixMatch,
    "uda": UDA,
    "fixmatch": FixMatch,
    "flexmatch": FlexMatch,
    "freematch": FreeMatch,
    "softmatch": SoftMatch,
}

__all__ = [
    "ALGORITHMS",
    "UDA",
    "VAT",
    "FixMatch",
    "FlexMatch",
    "FreeMatch",
    "MeanTeacher",
    "MixMatch",
    "PiModel",
    "PseudoLabel",
    "ReMixMatch",
    "SoftMatch",
    "Supervised",
]
