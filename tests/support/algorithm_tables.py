"""Keywords to try every algorithm with.

An algorithm that is not named here is tried with its defaults; a row makes its tests sharper.
"""

from dataclasses import replace
from typing import Any

import pytest

from ssl_mix import MixingTerms
from ssl_mix.algorithms import ALGORITHMS

# Keywords under which every term of the loss is switched on, where that is not the default.
MIXED = MixingTerms(mix="dm-as", mix_ramp="none")
EVERYTHING: dict[str, list[dict[str, Any]]] = {
    "supervised": [
        {},
        {"mixing": MixingTerms(mix="mixup", mixer="automix")},
        {"mixing": MixingTerms(mix="mixup", mixer="manifoldmix"), "criterion": "bce"},
        {"mixing": MixingTerms(mix="dm", mixer="puzzlemix"), "criterion": "bce"},
        {
            "mixing": MixingTerms(mix="dm", mixer="cutmix"),
            "label_policy": "lumix",
            "regularizer": "sem",
        },
    ],
    "pseudo-label": [{"threshold": 0.5}, {"threshold": 0.5, "mixing": MIXED}],
    "pi-model": [{}, {"mixing": MIXED}],
    "mean-teacher": [{}, {"mixing": MIXED}],
    "vat": [{}, {"mixing": MIXED}],
    "mixmatch": [{"interleave": False}, {"mixing": MIXED}],
    "remixmatch": [{"interleave": False}, {"mixing": MIXED}],
    "uda": [{"threshold": 0.5}, {"threshold": 0.5, "tsa": "exp", "mixing": MIXED}],
    "fixmatch": [{"threshold": 0.5}, {"threshold": 0.5, "mixing": MIXED}],
    "flexmatch": [{"threshold": 0.5}, {"threshold": 0.6, "threshold_warmup": False, "mixing": MIXED}],
    "freematch": [{}, {"average_decay": 0.1, "fairness_weight": 0.5, "mixing": MIXED}],
    "softmatch": [{}, {"average_decay": 0.1, "mixing": MIXED}],
    "fine-tuning": [{}, {"mixing": replace(MIXED, mix_head="own")}],
    "l2-sp": [{}],
    "bss": [{}],
    "delta": [{}],
    "stochnorm": [{}],
    "co-tuning": [{}, {"mixing": MIXED}],
    "bi-tuning": [{}],
    "self-tuning": [{"width": 16}, {"width": 16, "mixing": MIXED}],
}
# For each keyword another value that must change the loss, on top of the last entry above.
UNLABELED = {"unlabeled_weight": 0.7, "unlabeled_ratio": 3}
OWN_MIXING = {"temperature": 0.8, "alpha": 2.0, "lam_per": "batch", "interleave": False}
OTHER: dict[str, dict[str, Any]] = {
    "supervised": {
        "label_policy": "plain",
        "regularizer": "none",
        "regularizer_weight": 0.5,
        "stop_mixing": 0.6,
        "label_smoothing": 0.1,
        "view": "strong",
    },
    "pseudo-label": {"threshold": 0.9, "ramp": 0.9, **UNLABELED},
    "pi-model": {"ramp": 0.9, **UNLABELED},
    "mean-teacher": {"ramp": 0.9, **UNLABELED},
    "vat": {
        "entropy_weight": 0.5,
        "radius": 2.0,
        "probe": 1.0,
        "power_iterations": 2,
        "ramp": 0.9,
        **UNLABELED,
    },
    "mixmatch": {**OWN_MIXING, "ramp": 0.9, **UNLABELED},
    "remixmatch": {
        **OWN_MIXING,
        "average_decay": 0.2,
        "unmixed_weight": 0.1,
        "rotation_weight": 0.1,
        "ramp": 0.9,
        **UNLABELED,
    },
    "uda": {
        "threshold": 0.9,
        "temperature": 1.0,
        "tsa": "linear",
        "tsa_confidence": "max",
        "tsa_mean": "kept",
        **UNLABELED,
    },
    "fixmatch": {"threshold": 0.9, **UNLABELED},
    "flexmatch": {"threshold": 0.9, "mapping": "concave", "threshold_warmup": True, **UNLABELED},
    "freematch": {
        "average_decay": 0.6,
        "fairness_weight": 0.1,
        "lowest_threshold": 0.9,
        "highest_threshold": 0.3,
        **UNLABELED,
    },
    "softmatch": {"average_decay": 0.6, "sigmas": 0.5, "align": False, **UNLABELED},
    "fine-tuning": {"view": "weak", "threshold": 0.9, "unlabeled_ratio": 3},
    "l2-sp": {"body_weight": 0.1, "head_weight": 0.1, "view": "weak"},
    "bss": {"shrinkage_weight": 0.1, "smallest": 2, "view": "weak"},
    "delta": {"feature_weight": 0.1, "head_weight": 0.1, "view": "weak"},
    "stochnorm": {"probability": 1.0, "view": "weak"},
    "co-tuning": {
        "source_weight": 0.1,
        "view": "weak",
        "threshold": 0.9,
        "unlabeled_ratio": 3,
    },
    "bi-tuning": {"contrast_weight": 0.1, "depth": 3, "width": 7, "temperature": 0.1, "view": "strong"},
    "self-tuning": {
        "contrast_weight": 0.1,
        "depth": 3,
        "width": 7,
        "temperature": 0.1,
        "threshold": 0.9,
        "unlabeled_ratio": 3,
        "view": "weak",
    },
}
OTHER_MIXING = {
    "mix": "mixup",
    "mixer": "cutmix",
    "eta": 0.7,
    "mix_weight": 0.3,
    "mix_alpha": 0.3,
    "mix_ramp": "cosine",
    "mix_head": "own",
    "mix_variant": "openmixup",
}
# Options that mean nothing to an algorithm, which are refused there: supervised training mixes its whole batch;
# MixMatch and ReMixMatch mix by themselves.
REFUSED = {
    "supervised": {"mix_weight", "mix_ramp", "mix_head", "mix_variant"},
    "mixmatch": {"mixer", "mix_alpha", "mix_head"},
    "remixmatch": {"mixer", "mix_alpha", "mix_head"},
}
BAD: dict[str, list[dict[str, Any]]] = {
    "supervised": [
        {"mixing": "mixpu"},
        {"criterion": "dm-ce"},
        {"mixing": "as"},
        {"regularizer_weight": -1.0},
        {"stop_mixing": 1.5},
        {"label_smoothing": 2.0},
        {"view": "stong"},
    ],
    "pseudo-label": [{"threshold": 1.5}, {"unlabeled_weight": -1.0}, {"ramp": -0.1}, {"unlabeled_ratio": 0}],
    "pi-model": [{"unlabeled_weight": -1.0}, {"ramp": 1.1}, {"unlabeled_ratio": 0.5}],
    "mean-teacher": [{"unlabeled_weight": -1.0}, {"ramp": 1.1}, {"unlabeled_ratio": 0}],
    "vat": [
        {"unlabeled_weight": -1.0},
        {"entropy_weight": -1.0},
        {"radius": 0.0},
        {"probe": 0.0},
        {"power_iterations": 0},
        {"ramp": 2.0},
        {"unlabeled_ratio": 0},
    ],
    "mixmatch": [
        {"temperature": 0.0},
        {"alpha": 0.0},
        {"lam_per": "image"},
        {"unlabeled_weight": -1.0},
        {"ramp": 2.0},
        {"unlabeled_ratio": 0},
    ],
    "remixmatch": [
        {"temperature": 0.0},
        {"alpha": 0.0},
        {"lam_per": "image"},
        {"average_decay": 1.1},
        {"unlabeled_weight": -1.0},
        {"unmixed_weight": -1.0},
        {"rotation_weight": -1.0},
        {"ramp": 2.0},
        {"unlabeled_ratio": 0},
    ],
    "uda": [
        {"threshold": 1.5},
        {"temperature": 0.0},
        {"unlabeled_weight": -1.0},
        {"tsa": "cosine"},
        {"tsa_confidence": "min"},
        {"tsa_mean": "all"},
        {"unlabeled_ratio": 0},
    ],
    "fixmatch": [{"threshold": 1.5}, {"threshold": -0.1}, {"unlabeled_weight": -1.0}, {"unlabeled_ratio": 0}],
    "flexmatch": [
        {"threshold": 1.5},
        {"mapping": "round"},
        {"unlabeled_weight": -1.0},
        {"unlabeled_ratio": 0},
    ],
    "freematch": [
        {"average_decay": 1.5},
        {"fairness_weight": -1.0},
        {"lowest_threshold": -0.1},
        {"highest_threshold": 1.1},
        {"lowest_threshold": 0.9, "highest_threshold": 0.8},
        {"unlabeled_weight": -1.0},
        {"unlabeled_ratio": 0},
    ],
    "softmatch": [
        {"average_decay": 1.5},
        {"sigmas": 0.0},
        {"unlabeled_weight": -1.0},
        {"unlabeled_ratio": 0},
    ],
}
TRANSFER_BAD = {"view": "plain"}, {"mixing": "dms"}, {"threshold": 1.5}, {"unlabeled_ratio": 0}
CONTRAST_BAD = {"contrast_weight": -1.0}, {"depth": 0}, {"width": 0}, {"temperature": 0.0}
BAD |= {
    "fine-tuning": [*TRANSFER_BAD],
    "l2-sp": [{"body_weight": -1.0}, {"head_weight": -1.0}, {"view": "plain"}],
    "bss": [{"shrinkage_weight": -1.0}, {"smallest": 0}, {"view": "plain"}],
    "delta": [{"feature_weight": -1.0}, {"head_weight": -1.0}, {"view": "plain"}],
    "stochnorm": [{"probability": 1.1}, {"view": "plain"}],
    "co-tuning": [{"source_weight": -1.0}, {"relationship": "none"}, *TRANSFER_BAD],
    "bi-tuning": [*CONTRAST_BAD, {"view": "plain"}],
    "self-tuning": [*CONTRAST_BAD, *TRANSFER_BAD],
}
CASES = [(name, keywords) for name in ALGORITHMS for keywords in EVERYTHING[name]]
both = pytest.mark.parametrize(
    ("name", "keywords"), CASES, ids=lambda v: v if isinstance(v, str) else f"{len(v)}kw"
)
each = pytest.mark.parametrize("name", list(ALGORITHMS))
