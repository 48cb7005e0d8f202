"""How often the run is right on images that are changed again and again."""

from collections.abc import Callable, Hashable, Mapping
from typing import TypeVar

import torch
from torch import Tensor

from ssl_mix.errors import UserError, counts_of
from ssl_mix.randomness import stream_generator
from ssl_mix.suites.suite import Scene

Key = TypeVar("Key", bound=Hashable)
Change = Callable[[Tensor, torch.Generator], Tensor]


def right_after(scene: Scene, changes: Mapping[Key, Change], label: str) -> dict[Key, float]:
    """Share of the sample whose class is found after each change.

    Args:
        scene: the run, and the sample of its test images.
        changes: from what the network sees of images, uint8 (n, C, H, W), and a source of draws to the same.
            Each has a source of its own, from which batches draw one after the other, so that sizes of
            batches do not matter.
        label: what is done, for the progress.

    Raises:
        ValueError: there are no images.
    """
    rows = sampled_rows(scene)
    draws = {key: stream_generator(scene.options.suite_seed, f"{label}/{key}") for key in changes}
    right, done, total = dict.fromkeys(changes, 0), 0, len(rows) * len(changes)
    for images, labels in scene.batches(rows):
        for key, change in changes.items():
            right[key] += scene.right(change(images, draws[key]), labels)
            done += len(images)
            scene.tell(label, done, total)
    return {key: count / len(rows) for key, count in right.items()}


def chance_of_sample(scene: Scene) -> float:
    """Share of the sample that the commonest class has."""
    counts = scene.answered.labels[sampled_rows(scene)].bincount()
    return float(counts.max() / counts.sum())


def sample_words(images: int, of: int) -> str:
    """How many images a number is of."""
    whole = counts_of(of, "test image")
    return counts_of(images, "image") if images == of else f"{images} of {whole}, drawn at random"


def sampled_rows(scene: Scene) -> Tensor:
    """The rows of the sample, at least one."""
    rows = scene.sample()
    if not len(rows):
        raise UserError("there are no test images to change")
    return rows
