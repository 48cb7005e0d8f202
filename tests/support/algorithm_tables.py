"""Keywords to try every algorithm with.

An algorithm that is not named here is tried with its defaults; a row makes its tests sharper.
"""

import inspect
from dataclasses import replace
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest

from ssl_mix import MixingTerms
from ssl_mix.algorithms import ALGORITHMS
from ssl_mix.rebalance import Rebalance
from ssl_mix.targets import Targets

SHARED = ("mixing", "targets", "return")
ADJUSTED = Targets(align="labeled", smooth_targets=0.5, balance_classes=True)
# Keywords under which every term of the loss is switched on, where that is not the default.
MIXED = MixingTerms(mix="dm-as", mix_ramp="none")
EVERYTHING: dict[str, list[dict[str, Any]]] = {
    "supervised": [
        {},
        {"mixing": MixingTerms(mix="mixup", mixer="automix")},
        {"mixing": MixingTerms(mix="mixup", mixer="manifoldmix"), "criterion": "bce"},
        {"mixing": MixingTerms(mix="dm", mixer="puzzlemix"), "criterion": "bce"},
        {"mixing": MixingTerms(mix="dm", mixer="cutmix"), "label_policy": "lumix"},
        {"mixing": MixingTerms(mix="dm", mixer="cutmix"), "regularizer": "sem"},
    ],
    "pseudo-label": [{"threshold": 0.5}, {"threshold": 0.5, "mixing": MIXED}],
    "pi-model": [{}, {"mixing": MIXED}],
    "mean-teacher": [{}, {"mixing": MIXED}],
    "vat": [{}, {"mixing": MIXED}],
    "mixmatch": [{"interleave": False}, {"mixing": MIXED}],
    "remixmatch": [{"interleave": False}, {"mixing": MIXED}],
    "uda": [{"threshold": 0.5}, {"threshold": 0.5, "tsa": "exp", "mixing": MIXED}],
    "fixmatch": [{"threshold": 0.5}, {"threshold": 0.5, "mixing": MIXED}],
    "flexmatch": [
        {"threshold": 0.5, "weak_pass": "apart"},
        {"threshold": 0.6, "threshold_warmup": False, "mixing": MIXED},
    ],
    "freematch": [{}, {"average_decay": 0.1, "fairness_weight": 0.5, "mixing": MIXED}],
    "softmatch": [{}, {"average_decay": 0.1, "mixing": MIXED}],
    "dash": [{"lowest_loss": 0.7}, {"lowest_loss": 0.7, "falls": 3, "warmup": 0.25, "mixing": MIXED}],
    "adamatch": [{"threshold": 0.8}, {"threshold": 0.8, "mixing": MIXED}],
    "defixmatch": [{"threshold": 0.5}, {"threshold": 0.5, "mixing": MIXED}],
    "refixmatch": [{"threshold": 0.5}, {"threshold": 0.5, "mixing": MIXED}],
    "sequencematch": [{"threshold": 0.5}, {"threshold": 0.5, "mixing": MIXED}],
    "debiasmatch": [{"threshold": 0.5}, {"threshold": 0.5, "mixing": MIXED}],
    "dst": [{"threshold": 0.5, "width": 16}, {"threshold": 0.5, "width": 16, "mixing": MIXED}],
    "finessl": [{"threshold": 0.5}, {"threshold": 0.5, "mixing": MIXED}],
    "comatch": [{"threshold": 0.4, "memory": 32}, {"threshold": 0.4, "memory": 32, "mixing": MIXED}],
    "simmatch": [{"threshold": 0.4}, {"threshold": 0.4, "mixing": MIXED}],
    "simmatchv2": [
        {"threshold": 0.4, "memory": 32},
        {"threshold": 0.4, "memory": 32, "neighbors": 8, "mixing": MIXED},
    ],
    "crmatch": [{"threshold": 0.5}, {"threshold": 0.5, "mixing": MIXED}],
    "s4l": [{}, {"mixing": MIXED}],
    "meta-pseudo-labels": [{"ramp": 0.9}, {"ramp": 0.9, "mixing": MIXED}],
    "noisy-student": [{"threshold": 0.5}, {"threshold": 0.5, "mixing": MIXED}],
    "v-pet": [{"teachers": ("first", "second")}, {"teachers": ("first", "second"), "mixing": MIXED}],
    "openmatch": [{}, {"warmup": 0.5, "mixing": MIXED}],
    "iomatch": [{"threshold": 0.5}, {"threshold": 0.5, "width": 16, "warmup": 0.5, "mixing": MIXED}],
    "fine-tuning": [{}, {"mixing": replace(MIXED, mix_head="own")}],
    "l2-sp": [{}],
    "bss": [{}],
    "delta": [{}],
    "stochnorm": [{}],
    "co-tuning": [{}, {"mixing": MIXED}],
    "bi-tuning": [{}],
    "self-tuning": [{"width": 16}, {"width": 16, "mixing": MIXED}],
}
# What a keyword belongs to, where it does not go with the last row.
BESIDE: dict[tuple[str, str], dict[str, Any]] = {
    ("supervised", "target_threshold"): {"mixing": MixingTerms(mix="mixup"), "criterion": "bce"},
}
# What learns from other runs, so that it cannot be trained by its defaults alone.
FROM_RUNS = ("noisy-student", "v-pet")
# For each option of mixing another value that must change the loss.
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
OTHER_TARGETS = {
    "align": "none",
    "smooth_targets": 0.2,
    "balance_classes": False,
    "adaptive_thresholds": True,
    "rebalance": "daso",
}
UNTHRESHOLDED = (
    "pi-model",
    "mean-teacher",
    "vat",
    "s4l",
    "fine-tuning",
    "co-tuning",
    "self-tuning",
)  # by themselves
# Options that mean nothing to an algorithm, which are refused there: supervised training mixes its whole
# batch;
# MixMatch and ReMixMatch mix by themselves, and take every pseudo-label; SoftMatch and FineSSL weigh them.
REFUSED = {
    "supervised": {"mix_weight", "mix_ramp", "mix_head", "mix_variant"},
    "defixmatch": {"balance_classes", "adaptive_thresholds"},
    "finessl": {"balance_classes", "adaptive_thresholds"},
    "mixmatch": {"mixer", "mix_alpha", "mix_head", "balance_classes", "adaptive_thresholds"},
    "remixmatch": {"mixer", "mix_alpha", "mix_head", "balance_classes", "adaptive_thresholds"},
    "softmatch": {"balance_classes", "adaptive_thresholds"},
    **dict.fromkeys(UNTHRESHOLDED, {"adaptive_thresholds"}),
}
# Those that make or use pseudo-labels in a way of their own have no place for an add-on.
for _fixed in (
    *("defixmatch", "finessl", "sequencematch", "meta-pseudo-labels", "noisy-student"),
    *("fine-tuning", "co-tuning", "self-tuning"),
):
    REFUSED[_fixed] = REFUSED.get(_fixed, set()) | {"rebalance"}
# What must be refused besides negative numbers, counts of zero and choices that are none.
BAD: dict[str, list[dict[str, Any]]] = {
    "supervised": [{"mixing": "as"}, {"mixing": "mixpu"}, {"stop_mixing": 1.5}, {"label_smoothing": 2.0}],
    "pseudo-label": [{"threshold": 1.5}],
    "pi-model": [{"ramp": 1.1}, {"unlabeled_ratio": 0.5}],
    "mean-teacher": [{"ramp": 1.1}],
    "vat": [{"radius": 0.0}, {"probe": 0.0}, {"ramp": 2.0}],
    "mixmatch": [{"temperature": 0.0}, {"alpha": 0.0}, {"ramp": 2.0}],
    "remixmatch": [{"temperature": 0.0}, {"alpha": 0.0}, {"average_decay": 1.1}, {"ramp": 2.0}],
    "uda": [{"threshold": 1.5}, {"temperature": 0.0}],
    "fixmatch": [{"threshold": 1.5}],
    "flexmatch": [{"threshold": 1.5}],
    "freematch": [
        {"average_decay": 1.5},
        {"highest_threshold": 1.1},
        {"lowest_threshold": 0.9, "highest_threshold": 0.8},
    ],
    "softmatch": [{"average_decay": 1.5}, {"sigmas": 0.0}],
    "dash": [{"warmup": 1.5}, {"gamma": 0.9}, {"lowest_loss": 0.0}, {"temperature": 0.0}],
    "adamatch": [{"threshold": 1.5}, {"ramp": 1.5}],
    "defixmatch": [{"threshold": 1.5}],
    "refixmatch": [{"threshold": 1.5}, {"temperature": 0.0}],
    "sequencematch": [{"threshold": 1.5}, {"temperature": 0.0}],
    "debiasmatch": [{"threshold": 1.5}, {"average_decay": 1.5}],
    "dst": [{"threshold": 1.5}, {"ramp": 0.0}],
    "finessl": [{"threshold": 1.5}, {"smoothing": 1.5}],
    "comatch": [{"graph_threshold": 1.5}, {"prediction_share": 1.5}, {"temperature": 0.0}],
    "simmatch": [{"threshold": 1.5}, {"prediction_share": 1.5}, {"temperature": 0.0}],
    "simmatchv2": [{"threshold": 1.5}, {"spread": 1.0}, {"temperature": 0.0}],
    "crmatch": [{"threshold": 1.5}],
    "meta-pseudo-labels": [{"threshold": 1.5}, {"temperature": 0.0}, {"ramp": 2.0}],
    "noisy-student": [{"threshold": 1.5}],
    "openmatch": [{"threshold": 1.5}, {"warmup": 1.5}],
    "iomatch": [{"threshold": 1.5}, {"open_threshold": 1.5}, {"warmup": 1.5}],
    "fine-tuning": [{"threshold": 1.5}],
    "stochnorm": [{"probability": 1.1}],
    "co-tuning": [{"threshold": 1.5}],
    "bi-tuning": [{"temperature": 0.0}],
    "self-tuning": [{"temperature": 0.0}, {"threshold": 1.5}],
}


def parameters(name: str) -> dict[str, Any]:
    """The keywords of an algorithm with their types, without those that it shares with others."""
    hints = get_type_hints(ALGORITHMS[name].__init__)
    return {keyword: hint for keyword, hint in hints.items() if keyword not in SHARED}


def adjusted(name: str) -> dict[str, Any]:
    """The last row of an algorithm with all that may become of its pseudo-labels; nothing for one that makes
    none."""
    if "targets" not in inspect.signature(ALGORITHMS[name]).parameters:
        return {}
    refused: dict[str, Any] = dict.fromkeys(REFUSED.get(name, set()) & {"balance_classes"}, False)
    return {**everything(name)[-1], "targets": replace(ADJUSTED, **refused)}


def mixes(name: str) -> bool:
    """Whether the algorithm takes added mixing terms."""
    return "mixing" in inspect.signature(ALGORITHMS[name]).parameters


def everything(name: str) -> list[dict[str, Any]]:
    """The row of an algorithm, or its defaults, with a threshold that some guesses pass, without and with
    mixing."""
    if name in EVERYTHING:
        return EVERYTHING[name]
    base = {"threshold": 0.5} if "threshold" in parameters(name) else {}
    return [base, *([{**base, "mixing": MIXED}] if mixes(name) else [])]


def other_values(name: str, keyword: str, value: Any) -> list[Any]:
    """Values to try instead of ``value``, as its type suggests."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, value + 2, max(1, value // 2)]
    if isinstance(value, float):
        return [value / 2, value * 2, 0.1, 0.5, 0.9, 0.0, 1.0]
    hint = parameters(name)[keyword]
    return [choice for choice in get_args(hint) if choice != value] if get_origin(hint) is Literal else [0.3]


def bad_values(name: str) -> list[dict[str, Any]]:
    """Keywords that must be refused: those of the table, negative numbers, counts of zero, and choices that
    are none."""
    found = list(BAD.get(name, ()))
    for keyword, hint in parameters(name).items():
        if hint in (int, float):
            found += [{keyword: -1}, *([{keyword: 0}] if hint is int else [])]
        elif get_origin(hint) is Literal:
            found.append({keyword: "no such choice"})
    return found


CASES = [
    (name, keywords)
    for name in ALGORITHMS
    for keywords in (*everything(name), adjusted(name))
    if keywords in everything(name) or keywords
]
REBALANCED = [
    ("fixmatch", {"threshold": 0.5, "targets": Targets(rebalance=addon)}) for addon in get_args(Rebalance)[1:]
]


def rows(cases: list[tuple[str, dict[str, Any]]]) -> pytest.MarkDecorator:
    """A test for each name of an algorithm with its keywords."""
    return pytest.mark.parametrize(
        ("name", "keywords"), cases, ids=lambda v: v if isinstance(v, str) else f"{len(v)}kw"
    )


both = rows([*CASES, *REBALANCED])
FULLEST = [*((name, everything(name)[-1]) for name in ALGORITHMS), *REBALANCED]
fullest = rows(FULLEST)
SELECTING = ("fixmatch", "flexmatch", "mixmatch", "self-tuning")  # each in another way
stateful = rows([*FULLEST, *((name, adjusted(name)) for name in SELECTING)])
each = pytest.mark.parametrize("name", list(ALGORITHMS))
