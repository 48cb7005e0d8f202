"""The choice of the images whose labels may be used."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from ssl_mix.datasets.label_counts import check_one_choice, label_counts
from ssl_mix.datasets.label_range import check_label_range, check_labels, positions_in
from ssl_mix.datasets.long_tail import check_ratio, long_tail
from ssl_mix.errors import UserError, check_seed, checking_kinds, counts_of, verb_for

NAMED = 3


@dataclass(frozen=True)
class Split:
    """Which training images are labeled, held out and unlabeled, as ascending positions.

    Attributes:
        labeled: to learn from with their labels.
        validation: labeled, held out, in neither other part.
        unlabeled: to learn from without labels.
        seed: of the choice.
        sha256: of ``labeled`` as little-endian int64 bytes, in hexadecimal.
        added: labels of images that the data set has none of, or others: (position, class) of some labeled
            ones.

    Examples:
        >>> labels = torch.tensor([0, 0, 0, 1, 1, 1])
        >>> split = choose_split(labels, 2, per_class=1, seed=0, classes=("cat", "dog"))
        >>> len(split.labeled), len(split.validation), len(split.unlabeled)
        (2, 0, 4)
    """

    labeled: tuple[int, ...]
    validation: tuple[int, ...]
    unlabeled: tuple[int, ...]
    seed: int
    sha256: str
    added: tuple[tuple[int, int], ...] = ()

    def save(self, path: Path) -> None:
        """Write the split as JSON."""
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def load(cls, path: Path) -> "Split":
        """Read what ``save`` wrote.

        Raises:
            ValueError: the file is missing, is not a split, or its labeled part does not have its SHA-256.
        """
        if path.exists() and not path.is_file():
            raise UserError(
                f"{path} is no ordinary file, expected a split: put a copy in its place, or train again"
            )
        try:
            content = json.loads(path.read_text())
            parts = {name: _positions(content[name]) for name in ("labeled", "validation", "unlabeled")}
            added = tuple((int(position), int(label)) for position, label in content["added"])
            split = cls(**parts, seed=content["seed"], sha256=content["sha256"], added=added)
            found = checksum(split.labeled)
        except Exception as error:  # what the content of a file can lead to has no end
            raise UserError(
                f"{path} is damaged, expected a split ({error!r}): put a copy in its place, or train again"
            ) from error
        if split.sha256 != found:
            raise UserError(
                f"{path} was changed, its labeled images do not have the SHA-256 that it states: put a copy "
                "in its place, or train again"
            )
        return split


@checking_kinds
def choose_split(
    labels: Tensor,
    num_classes: int,
    *,
    labels_total: int | None = None,
    per_class: int | None = None,
    rate: float | None = None,
    listed: Sequence[int] | None = None,
    imbalance: float | None = None,
    imbalance_unlabeled: float | None = None,
    unlabeled_per_class: int | None = None,
    foreign: Tensor | None = None,
    seed: int,
    validation: float = 0.0,
    include_labeled: bool = False,
    classes: Sequence[str],
) -> Split:
    """Choose the labeled images of each class: the same number of each, a share of each, a long tail, or
    listed ones.

    Within a class, images are ranked by the SHA-256 of ``seed/split/position`` and the first ones are
    taken. The choice is thus the same on every machine, independent of every other random stream, and nested:
    a seed's fewer labels are among its more labels. Of the chosen images the last ranks are held out. At most
    one of ``labels_total``, ``per_class``, ``rate`` and ``listed`` may be given; without any, all labeled
    images are taken.

    Args:
        labels: (N,) int64, -1 where unknown.
        num_classes: C.
        labels_total: labeled images in all, a multiple of C.
        per_class: labeled images of each class.
        rate: share of each class's n_c labeled images to take, in (0, 1]: ``ceil(rate * n_c)`` of them.
        listed: positions of the images to take, exactly these, some of each class.
        imbalance: ratio of a long tail of labeled images, at least 1; ``per_class`` are those of the first
            class then, the commonest.
        imbalance_unlabeled: ratio of a long tail of unlabeled images, likewise, or negative for one in which
            the last class is the commonest; the others are left out of the split.
        unlabeled_per_class: unlabeled images of the commonest class; default: as many as there are.
        foreign: (N,) bool, images of no class, which no tail leaves out.
        seed: of the ranks.
        validation: share of each class's chosen images to hold out, in [0, 1), rounded down, never all.
        include_labeled: let the unlabeled part hold the labeled images too, as the CIFAR benchmarks do.
        classes: C names, for messages.

    Raises:
        ValueError: the numbers contradict each other or the data, a label is none of the classes, or there is
            to be a tail of unlabeled images whose classes are not known.

    Examples:
        >>> labels = torch.tensor([0, 0, 0, 0, 1, 1])
        >>> split = choose_split(labels, 2, rate=0.5, seed=0, classes=("cat", "dog"))
        >>> labels[list(split.labeled)], labels[list(split.unlabeled)]
        (tensor([0, 0, 1]), tensor([0, 0, 1]))
    """
    check_seed("seed", seed)
    if not 0 <= validation < 1:
        raise UserError(f"validation must lie in [0, 1), got {validation}")
    if len(classes) != num_classes:
        raise UserError(f"classes must be {num_classes} names (num_classes), got {len(classes)}")
    check_labels(labels)
    check_label_range(labels, num_classes, "images to learn from", unknown=True)
    if imbalance is not None and listed is not None:
        raise UserError("a label list names the images to take: leave out `imbalance`, or the list")
    check_one_choice(
        labels_in_all=labels_total,
        labels_per_class=per_class,
        label_rate=rate,
        label_list=None if listed is None else counts_of(len(listed), "image"),
    )
    members = _members(labels, num_classes)
    if listed is not None:
        members = _only_listed(members, listed, classes)
    counts = label_counts(
        [len(member) for member in members],
        classes,
        labels_total=labels_total,
        per_class=per_class,
        rate=rate,
        imbalance=imbalance,
    )
    order = [ranked(member, f"{seed}/split") for member in members]
    chosen = [member[:count] for member, count in zip(order, counts, strict=True)]
    labeled, held_out = _parted(chosen, validation)
    used = set(held_out) if include_labeled else {*held_out, *labeled}
    unlabeled = tuple(i for i in range(len(labels)) if i not in used)
    if imbalance_unlabeled is not None or unlabeled_per_class is not None:
        ratio = 1.0 if imbalance_unlabeled is None else imbalance_unlabeled
        unlabeled = _tail(unlabeled, labels, foreign, ratio, unlabeled_per_class, seed, classes)
    return Split(tuple(labeled), tuple(held_out), unlabeled, seed, checksum(labeled))


def _parted(chosen: Sequence[Sequence[int]], validation: float) -> tuple[list[int], list[int]]:
    """The chosen images of each class without its last ranks, and those, which are held out; in order."""
    held = [_held_out(len(member), validation) for member in chosen]
    if validation and not any(held):
        raise UserError(
            f"validation={validation} of {counts_of(max(map(len, chosen)), 'labeled image')} per class holds "
            "out none: raise the share or the number of labels"
        )
    pairs = list(zip(chosen, held, strict=True))
    labeled = sorted(i for member, last in pairs for i in member[: len(member) - last])
    return labeled, sorted(i for member, last in pairs for i in member[len(member) - last :])


def _positions(given: Sequence[int]) -> tuple[int, ...]:
    """Positions as a file has them.

    Raises:
        ValueError: some are none.
    """
    wrong = [position for position in given if type(position) is not int or not 0 <= position < 2**63]
    if wrong:
        raise ValueError(f"{wrong[0]!r} is no position of an image")
    return tuple(given)


def ranked(positions: Iterable[int], key: str) -> list[int]:
    """``positions`` in the order of the SHA-256 of ``key/position``."""
    return sorted(positions, key=lambda position: hashlib.sha256(f"{key}/{position}".encode()).digest())


def checksum(positions: Iterable[int]) -> str:
    """SHA-256 of ascending positions as little-endian int64 bytes, in hexadecimal."""
    return hashlib.sha256(b"".join(i.to_bytes(8, "little", signed=True) for i in positions)).hexdigest()


def _members(labels: Tensor, num_classes: int) -> list[list[int]]:
    return [torch.nonzero(labels == label).flatten().tolist() for label in range(num_classes)]


def _tail(
    unlabeled: Iterable[int],
    labels: Tensor,
    foreign: Tensor | None,
    ratio: float,
    most: int | None,
    seed: int,
    classes: Sequence[str],
) -> tuple[int, ...]:
    """The first unlabeled images of each class by rank, as many as a long tail has, and all foreign ones."""
    check_ratio("imbalance_unlabeled", ratio, either_way=True)
    strangers = set() if foreign is None else {*torch.nonzero(foreign).flatten().tolist()}
    members: list[list[int]] = [[] for _ in classes]
    for position in ranked({*unlabeled} - strangers, f"{seed}/split"):
        if labels[position] < 0:
            raise UserError(
                "`imbalance_unlabeled` and `unlabeled_per_class` choose images by their classes, which of "
                "some unlabeled ones are not known: leave them out"
            )
        members[int(labels[position])].append(position)
    counts = long_tail([len(member) for member in members], classes, ratio, most)
    kept = {i for member, count in zip(members, counts, strict=True) for i in member[:count]}
    return tuple(sorted(kept | (strangers & {*unlabeled})))


def _only_listed(members: list[list[int]], listed: Sequence[int], classes: Sequence[str]) -> list[list[int]]:
    wanted = {*positions_in(listed, "listed").tolist()}
    strangers = wanted.difference(*members)
    if strangers:
        raise UserError(
            f"{len(strangers)} of {counts_of(len(wanted), 'listed image')} {verb_for(len(strangers))} not "
            f"labeled, the first at position {min(strangers)}"
        )
    kept = [[position for position in member if position in wanted] for member in members]
    missing = [name for name, member in zip(classes, kept, strict=True) if not member]
    if missing:
        more = f" and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
        raise UserError(
            f"{len(missing)} of {len(classes)} classes {verb_for(len(missing), 'has', 'have')} no listed "
            f"image, each needs some: {', '.join(map(repr, missing[:NAMED]))}{more}"
        )
    return kept


def _held_out(count: int, share: float) -> int:
    return max(0, min(int(count * share + 1e-9), count - 1))  # 0.29 * 100 is just under 29
