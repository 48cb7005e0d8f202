"""The size of images that the time is enough for: that of the weights, or the largest whose features can be
computed in a share of the minutes."""

import dataclasses
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_mix.augment.cached import view_names
from ssl_mix.datasets import DataSet, ResidentImages
from ssl_mix.engine.execution import own_state, resolve_device
from ssl_mix.errors import UserError
from ssl_mix.evaluation.view_features import view_features
from ssl_mix.runs.features import looks_at
from ssl_mix.runs.given import Given
from ssl_mix.runs.run import Run
from ssl_mix.transfer.looks import Look

SIZES = (192, 160, 128, 96)  # below that of the weights; still smaller ones lose more than time gains
FOR_FEATURES = 0.5  # share of the time
IMAGES = 4  # that are tried


class Size(NamedTuple):
    """A size and why it is taken.

    Attributes:
        pixels: side of the images.
        reason: a sentence.
    """

    pixels: int
    reason: str


def is_free(options: Mapping[str, Any]) -> bool:
    """Whether no size of images was asked for."""
    return not {"image_size", "stored_size", "weak", "strong"} & options.keys()


def affordable_size(run: Run, data: DataSet, given: Given, minutes: float) -> Size:
    """The size of the images as they are, or the largest smaller one whose features take no more than half of
    the minutes, as estimated from those of a few images.

    Args:
        run: names the network, the device and how many views of an image there are.
        data: the images.
        given: the network, where it was handed over.
        minutes: that the user gives.
    """
    own, allowed = data.augmentation.seen(data.train.images.shape)[1], 60 * minutes * FOR_FEATURES
    share = f"{100 * FOR_FEATURES:.0f} % of the `minutes` ({allowed:.0f} s)"
    tried: list[tuple[int, float]] = []
    for size in (own, *(size for size in SIZES if size < own)):
        try:
            tried.append((size, seconds_at(size, run, data, given)))
        except (UserError, RuntimeError, AssertionError):  # a network that is made for one size
            continue
        if tried[-1][1] <= allowed:
            break
    if not tried:  # whoever trains it says why it cannot look at them
        return Size(own, f"images are seen at {own} pixels")
    (largest, most), (pixels, needed) = tried[0], tried[-1]
    reason = f"images are seen at {pixels} pixels, where their features take about {needed:.0f} s"
    if pixels != largest:
        reason += f": at {largest} they would take {most:.0f} s"
    over = needed > allowed
    reason += f", {'though' if over else 'and'} {share} are for them"
    if over:
        reason += ": it takes longer, since smaller images lose more"
    return Size(pixels, f"{reason} (`image_size={pixels}`)")


def seconds_at(size: int, run: Run, data: DataSet, given: Given) -> float:
    """Seconds that the features of all images would take at a size, from those of a few."""
    device = resolve_device(run.config.device)
    images, classes = few_at(size, data), len(data.classes)
    shape, views = (images.shape[1], size, size), view_names(run.net.feature_views)
    net = given.network(classes)
    net = run.net.build(shape, classes, run.config.seed) if net is None else net
    augmentation = dataclasses.replace(data.of_pixels, size=None)
    with own_state(run.config, device, "size"):
        net = net.to(device)
        looks = looks_at(net, shape, flip=augmentation.flip) if run.net.tta else (Look(),)
        for part in (images[:1], images):  # the first warms up
            began = time.perf_counter()
            view_features(net, ResidentImages(part), augmentation, device, views)
            for look in looks[1:]:
                view_features(net, ResidentImages(part), augmentation, device, look=look)
    tested = 0 if data.test is None else len(data.test.images)
    count = len(data.train.images) + tested * len(looks) / (len(views) + len(looks) - 1)
    return count * (time.perf_counter() - began) / len(images)


def few_at(size: int, data: DataSet) -> Tensor:
    """Some of the stored images, resized: uint8 (n, C, size, size)."""
    positions = torch.arange(min(IMAGES, len(data.train.images)))
    [images] = data.train.images.batches([positions], torch.device("cpu"))
    resized = F.interpolate(images.float(), (size, size), mode="bilinear", antialias=True)
    return resized.round().clamp(0, 255).to(torch.uint8)
