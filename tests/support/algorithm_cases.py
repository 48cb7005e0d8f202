"""Every registered algorithm with the keywords that switch its terms on, and a small run of it."""

from typing import Any

import pytest
import torch
from torch import nn

from ssl_mix import MixingTerms, TrainConfig, Trainer
from ssl_mix.algorithm import Algorithm
from ssl_mix.algorithms import ALGORITHMS
from ssl_mix.augment import Augmentation
from ssl_mix.datasets import DataSet, ImageSet, ResidentImages, choose_split
from ssl_mix.models import SmallCNN
from ssl_mix.models.pretrained import keep_source_head

CLASSES = 4

# Keywords under which every term of the loss is switched on, where that is not the default.
MIXED = MixingTerms(mix="dm-as", mix_ramp="none")
EVERYTHING: dict[str, list[dict[str, Any]]] = {
    "supervised": [
        {},
        {"mixer": "automix"},
        {"mixer": "manifoldmix", "loss": "bce"},
        {"mixer": "puzzlemix", "loss": "dm-bce"},
        {
            "mixer": "cutmix",
            "loss": "dm-ce",
            "label_policy": "lumix",
            "regularizer": "sem",
            "mixing": MixingTerms(mix="dm"),
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
    "fine-tuning": [{}, {"mixing": MIXED, "mix_head": "own"}],
    "l2-sp": [{}],
    "bss": [{}],
    "delta": [{}],
    "stochnorm": [{}],
    "co-tuning": [{}, {"mixing": MIXED}],
    "bi-tuning": [{}],
    "self-tuning": [{"width": 16}, {"width": 16, "mixing": MIXED}],
}
CASES = [(name, keywords) for name in ALGORITHMS for keywords in EVERYTHING[name]]
both = pytest.mark.parametrize(
    ("name", "keywords"), CASES, ids=lambda v: v if isinstance(v, str) else f"{len(v)}kw"
)


def blobs(pictures: int, seed: int = 0) -> DataSet:
    """8 x 8 images whose class is the bright quarter, with noise."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(pictures) % CLASSES
    images = torch.randint(0, 120, (pictures, 1, 8, 8), dtype=torch.uint8, generator=generator)
    for label in range(CLASSES):
        row, column = 4 * (label // 2), 4 * (label % 2)
        images[labels == label, :, row : row + 4, column : column + 4] += 110
    part = ImageSet(ResidentImages(images), labels, None)
    augmentation = Augmentation(mean=(0.4,), std=(0.3,), flip=False, padding=1, geometry=0.2)
    return DataSet("blobs", tuple("abcd"), part, part, augmentation, ())


def make(algorithm: Algorithm, *, per_class: int = 4, net: nn.Module | None = None, **config: Any) -> Trainer:
    data = blobs(64)
    split = choose_split(
        data.train.labels, CLASSES, labels_total=None, per_class=per_class, seed=0, classes=data.classes
    )
    torch.manual_seed(0)
    options = {
        "steps": 12,
        "batch_size": 6,
        "log_every": 5,
        "eval_every": 12,
        "checkpoint_every": 12,
        "lr": 0.05,
    } | config
    return Trainer(algorithm, net or pretrained_network(), data, split, TrainConfig(**options))


def pretrained_network() -> nn.Module:
    """A network that remembers a classifier of three source classes."""
    net = SmallCNN(CLASSES, channels=1)
    keep_source_head(net, nn.Linear(64, 3))
    return net
