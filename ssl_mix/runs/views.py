"""How views of images are made, as ``config.json`` tells it, and back from it."""

import dataclasses
from typing import Any

import torch

from ssl_mix.augment import Augmentation
from ssl_mix.datasets import DataSet
from ssl_mix.datasets.tensors import TensorViews
from ssl_mix.runs.reading import made

TENSORS = "tensors"  # in a description of views, for what is no image


def described_views(data: DataSet) -> dict[str, Any]:
    """For ``config.json``: how views of images are made; of other inputs, which views are."""
    if isinstance(data.augmentation, TensorViews):
        return {TENSORS: str(data.augmentation.dtype), "altered": sorted(data.augmentation.alter)}
    return dataclasses.asdict(data.of_pixels)


def views_of(described: dict[str, Any]) -> Augmentation | TensorViews:
    """The views behind :func:`described_views`, without functions of the user's."""
    if TENSORS in described:
        return TensorViews(dtype=getattr(torch, described[TENSORS].removeprefix("torch.")))
    options: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in described.items()}
    views: Augmentation = made(Augmentation, options)
    return views
