"""Training algorithms, one file each. ``ALGORITHMS`` is the registry; ``TRANSFER`` those of it that start
from a trained network."""

if __name__ != "ssl_mix.algorithms":
    raise ImportError(f"this folder is the package ssl_mix.algorithms, not {__name__!r}")

from ssl_mix.algorithm import Algorithm  # noqa: E402
from ssl_mix.algorithms.adamatch import AdaMatch  # noqa: E402
from ssl_mix.algorithms.bi_tuning import BiTuning  # noqa: E402
from ssl_mix.algorithms.bss import BSS  # noqa: E402
from ssl_mix.algorithms.co_tuning import CoTuning  # noqa: E402
from ssl_mix.algorithms.comatch import CoMatch  # noqa: E402
from ssl_mix.algorithms.crmatch import CRMatch  # noqa: E402
from ssl_mix.algorithms.dash import Dash  # noqa: E402
from ssl_mix.algorithms.debiasmatch import DebiasMatch  # noqa: E402
from ssl_mix.algorithms.defixmatch import DeFixMatch  # noqa: E402
from ssl_mix.algorithms.delta import DELTA  # noqa: E402
from ssl_mix.algorithms.dst import DST  # noqa: E402
from ssl_mix.algorithms.fine_tuning import FineTuning  # noqa: E402
from ssl_mix.algorithms.finessl import FineSSL  # noqa: E402
from ssl_mix.algorithms.fixmatch import FixMatch  # noqa: E402
from ssl_mix.algorithms.flexmatch import FlexMatch  # noqa: E402
from ssl_mix.algorithms.freematch import FreeMatch  # noqa: E402
from ssl_mix.algorithms.iomatch import IOMatch  # noqa: E402
from ssl_mix.algorithms.l2_sp import L2SP  # noqa: E402
from ssl_mix.algorithms.mean_teacher import MeanTeacher  # noqa: E402
from ssl_mix.algorithms.meta_pseudo_labels import MetaPseudoLabels  # noqa: E402
from ssl_mix.algorithms.mixmatch import MixMatch  # noqa: E402
from ssl_mix.algorithms.noisy_student import NoisyStudent  # noqa: E402
from ssl_mix.algorithms.openmatch import OpenMatch  # noqa: E402
from ssl_mix.algorithms.pi_model import PiModel  # noqa: E402
from ssl_mix.algorithms.pseudo_label import PseudoLabel  # noqa: E402
from ssl_mix.algorithms.refixmatch import ReFixMatch  # noqa: E402
from ssl_mix.algorithms.remixmatch import ReMixMatch  # noqa: E402
from ssl_mix.algorithms.s4l import S4L  # noqa: E402
from ssl_mix.algorithms.self_tuning import SelfTuning  # noqa: E402
from ssl_mix.algorithms.sequencematch import SequenceMatch  # noqa: E402
from ssl_mix.algorithms.simmatch import SimMatch  # noqa: E402
from ssl_mix.algorithms.simmatchv2 import SimMatchV2  # noqa: E402
from ssl_mix.algorithms.softmatch import SoftMatch  # noqa: E402
from ssl_mix.algorithms.stochnorm import StochNorm  # noqa: E402
from ssl_mix.algorithms.supervised import Supervised  # noqa: E402
from ssl_mix.algorithms.uda import UDA  # noqa: E402
from ssl_mix.algorithms.v_pet import VPet  # noqa: E402
from ssl_mix.algorithms.vat import VAT  # noqa: E402

TRANSFER: dict[str, type[Algorithm]] = {
    "fine-tuning": FineTuning,
    "l2-sp": L2SP,
    "bss": BSS,
    "delta": DELTA,
    "stochnorm": StochNorm,
    "co-tuning": CoTuning,
    "bi-tuning": BiTuning,
    "self-tuning": SelfTuning,
}
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
    "dash": Dash,
    "adamatch": AdaMatch,
    "defixmatch": DeFixMatch,
    "refixmatch": ReFixMatch,
    "sequencematch": SequenceMatch,
    "debiasmatch": DebiasMatch,
    "dst": DST,
    "finessl": FineSSL,
    "comatch": CoMatch,
    "simmatch": SimMatch,
    "simmatchv2": SimMatchV2,
    "crmatch": CRMatch,
    "s4l": S4L,
    "meta-pseudo-labels": MetaPseudoLabels,
    "noisy-student": NoisyStudent,
    "v-pet": VPet,
    "openmatch": OpenMatch,
    "iomatch": IOMatch,
    **TRANSFER,
}

__all__ = [
    "ALGORITHMS",
    "BSS",
    "DELTA",
    "L2SP",
    "S4L",
    "TRANSFER",
    "UDA",
    "VAT",
    "BiTuning",
    "CRMatch",
    "CoMatch",
    "CoTuning",
    "FineTuning",
    "FixMatch",
    "FlexMatch",
    "FreeMatch",
    "IOMatch",
    "MeanTeacher",
    "MetaPseudoLabels",
    "MixMatch",
    "NoisyStudent",
    "OpenMatch",
    "PiModel",
    "PseudoLabel",
    "ReMixMatch",
    "SelfTuning",
    "SimMatch",
    "SimMatchV2",
    "SoftMatch",
    "StochNorm",
    "Supervised",
    "AdaMatch",
    "Dash",
    "DebiasMatch",
    "DeFixMatch",
    "DST",
    "FineSSL",
    "ReFixMatch",
    "SequenceMatch",
    "VPet",
]
