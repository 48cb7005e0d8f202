"""How many labels of each class a split may use."""

import math
from collections.abc import Sequence

from ssl_mix.datasets.long_tail import check_ratio, long_tail
from ssl_mix.errors import UserError, counts_of


def label_counts(
    sizes: Sequence[int],
    classes: Sequence[str],
    *,
    labels_total: int | None = None,
    per_class: int | None = None,
    rate: float | None = None,
    imbalance: float | None = None,
) -> list[int]:
    """The number of labels to use of each class: the same for all, a share of each, or a long tail.

    A share gives ``ceil(rate * n_c)``, as the published lists of fine-grained transfer have it, which equal
    no rounding down or to the nearest. Without any number all labels are used.

    Args:
        sizes: n_c, labeled images of each of the C classes.
        classes: C names, for messages.
        labels_total: labels in all, a multiple of C.
        per_class: labels of each class.
        rate: share of each class's images, in (0, 1]; of a class that has any, at least one.
        imbalance: ratio of a long tail, at least 1, in which the first class has ``per_class`` labels, see
            :func:`ssl_mix.datasets.long_tail.long_tail`.

    Returns:
        C numbers, none above its n_c.

    Raises:
        ValueError: a number is out of range, or a class has too few images.
    """
    if imbalance is not None:
        check_ratio("imbalance", imbalance)
        if rate is not None or labels_total is not None:
            raise UserError(
                "`imbalance` takes `labels_per_class`, those of the commonest class, and neither `labels` "
                "nor `label_rate`: leave them out"
            )
        return long_tail(sizes, classes, imbalance, per_class)
    if rate is not None:
        if not 0 < rate <= 1:
            raise UserError(f"the label rate must lie in (0, 1], got {rate}")
        # 0.15 * 20 is just above 3
        return [min(size, max(1, math.ceil(rate * size - 1e-9))) for size in sizes]
    count = _per_class(len(sizes), labels_total, per_class)
    if count is None:
        return list(sizes)
    for name, size in zip(classes, sizes, strict=True):
        if size < count:
            raise UserError(
                f"class {name!r} has {counts_of(size, 'labeled image')}, fewer than the {count} per class "
                "asked for"
            )
    return [count] * len(sizes)


def check_one_choice(**choices: object) -> None:
    """Raise unless at most one of the ways to choose labels is given."""
    given = {name.replace("_", " "): value for name, value in choices.items() if value is not None}
    if len(given) > 1:
        (first, one), (second, other) = list(given.items())[:2]
        raise UserError(f"give the {first} or the {second}, not both: got {one} and {other}")


def _per_class(num_classes: int, labels_total: int | None, per_class: int | None) -> int | None:
    wanted = labels_total if per_class is None else per_class
    if wanted is not None and wanted <= 0:
        raise UserError(f"the number of labels must be above 0, got {wanted}")
    if labels_total is None:
        return per_class
    if labels_total % num_classes:
        below = max(num_classes, labels_total // num_classes * num_classes)
        raise UserError(
            f"{counts_of(labels_total, 'label')} cannot be shared equally by {num_classes} classes: take "
            f"{below} or {below + num_classes}"
        )
    return labels_total // num_classes
