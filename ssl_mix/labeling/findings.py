"""What an audit of labels finds, ranked: copies in two classes, wrong labels, images of no class, copies."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ssl_mix.datasets import DataSet, Split
from ssl_mix.datasets.copies import Keys, find_pairs, in_two_classes, keys_of, parts_of
from ssl_mix.datasets.near_copies import has_hashes, near_keys
from ssl_mix.errors import counts_of, verb_for
from ssl_mix.labeling.outliers import FAR, outlier_scores
from ssl_mix.labeling.wrong_labels import FOLDS, out_of_sample, wrong_labels

TWO_CLASSES, WRONG, ODD, TESTED, COPY = (
    "copy in another class",
    "another class",
    "like no other image",
    "copy of a test image",
    "copy",
)


SURE, ENOUGH = 0.9, 20  # accuracy, and labels to a class, from which on a list of wrong ones is short


class Finding(NamedTuple):
    """What is doubtful about one labeled image.

    Attributes:
        position: among the images to learn from.
        reason: why.
        suggested: the class that it probably is of, None where nothing is said of that.
        score: the higher the surer; comparable within a reason.
        other: the image that it is a copy of, by its name.
    """

    position: int
    reason: str
    suggested: int | None
    score: float
    other: str = ""


class Findings(NamedTuple):
    """What was found, and what the user must be told."""

    found: list[Finding]
    notes: tuple[str, ...]


def audit(data: DataSet, split: Split, features: Tensor, *, seed: int = 0) -> Findings:
    """Doubtful labels among the labeled and held-out images, the surest first: copies in two classes, labels
    of another class, images that are like no other, copies of test images, copies within a class.

    Args:
        data: the images.
        split: which of them are labeled.
        features: of all images to learn from, (N, D).
        seed: of the parts in which labels are judged.

    Raises:
        ValueError: no class has two labeled images.
    """
    labeled = torch.tensor(sorted({*split.labeled, *split.validation}), dtype=torch.int64)
    copied, notes = copies(data, split, labeled.tolist())
    labels = data.train.labels[labeled]
    counts = torch.bincount(labels, minlength=len(data.classes))
    if single := int((counts == 1).sum()):
        notes += (
            f"{counts_of(single, 'class')} {verb_for(single, 'has', 'have')} one labeled image, which "
            "nothing can be said of",
        )
    if few := int(((counts > 1) & (counts < FOLDS)).sum()):
        notes += (
            f"{counts_of(few, 'class')} {verb_for(few, 'has', 'have')} fewer than {FOLDS} labeled images, "
            "which are judged by too few others",
        )
    probabilities = out_of_sample(features[labeled], labels, len(data.classes), seed=seed)
    wrong = wrong_labels(probabilities, labels)
    if wrong.suspicious.any() and (note := trust_note(probabilities, labels)):
        notes += (note,)
    far = outlier_scores(features[labeled])
    found = [
        Finding(int(labeled[at]), WRONG, int(wrong.suggested[at]), float(wrong.scores[at]))
        for at in wrong.suspicious.nonzero()[:, 0].tolist()
    ]
    found += [
        Finding(int(labeled[at]), ODD, None, float(far[at])) for at in (far > FAR).nonzero()[:, 0].tolist()
    ]
    order = (TWO_CLASSES, WRONG, ODD, TESTED, COPY)
    ranked = sorted(copied + found, key=lambda one: (order.index(one.reason), -one.score, one.position))
    return Findings(ranked, notes)


def trust_note(probabilities: Tensor, labels: Tensor) -> str:
    """How far a list of wrong labels can be trusted where few labels judge each other; "" where they are
    enough.

    A classifier that errs on a share e of right labels lists most of those too: it is told with its accuracy
    on the labels as they are, and how many of them it says otherwise by itself.
    """
    right = (probabilities.argmax(dim=1) == labels).double().mean().item()
    median = int(torch.bincount(labels)[labels].median())
    if right >= SURE and median >= ENOUGH:
        return ""
    return (
        "labels listed as of another class are to be looked at, not believed: of "
        f"{counts_of(len(labels), 'label')}, {median} to a class in the median, the judge agrees with "
        f"{right:.0%}, so that up to {1 - right:.0%} of them can be doubted though they are right"
    )


def copies(data: DataSet, split: Split, labeled: Sequence[int]) -> tuple[list[Finding], tuple[str, ...]]:
    """Labeled images that occur more than once, and a note where similar ones are not looked for."""
    sets = [part for part in (data.train, data.test) if part is not None]
    keys: list[Keys] = [keys_of(part) for part in sets]
    notes: tuple[str, ...] = ()
    if has_hashes():
        keys = [*near_keys([part.images for part in sets])]
    else:
        notes = ("copies are found by their bytes alone: pip install 'ssl-mix[copies]' finds similar images",)
    labels, own = data.train.labels.tolist(), [keys[0][at] for at in labeled]
    double = {labeled[at] for group in in_two_classes(own, [labels[at] for at in labeled]) for at in group}
    first: dict[object, int] = {}
    found = []
    for at, key in zip(labeled, own, strict=True):
        if at in double:
            other = next(o for o, k in zip(labeled, own, strict=True) if k == key and labels[o] != labels[at])
            found.append(Finding(at, TWO_CLASSES, labels[other], 1.0, name_of(data, other)))
        elif key in first:
            found.append(Finding(at, COPY, None, 1.0, name_of(data, first[key])))
        first.setdefault(key, at)
    return found + tested_copies(data, split, keys, {*labeled}), notes


def tested_copies(data: DataSet, split: Split, keys: Sequence[Keys], labeled: set[int]) -> list[Finding]:
    """Labeled images that are test images too."""
    if data.test is None:
        return []
    files = data.test.files
    pairs = [
        pair
        for both in find_pairs(parts_of(data, split), keys[0], keys[1])
        if both.second == "test" and both.first in ("labeled", "held out")
        for pair in both.pairs
    ]
    return [
        Finding(at, TESTED, None, 1.0, str(here) if files is None else files[here])
        for at, here in pairs
        if at in labeled
    ]


def name_of(data: DataSet, position: int) -> str:
    """The file of an image to learn from, or its position."""
    return str(position) if data.train.files is None else data.train.files[position]
