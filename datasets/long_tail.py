"""How many images each class has in a long tail, and which they are."""

from collections.abc import Sequence

from ssl_mix.errors import UserError, check_positive, counts_of


def check_ratio(name: str, ratio: float, *, either_way: bool = False) -> None:
    """Raise unless ``ratio`` is at least 1, or at most -1 where the classes may also be ``either_way``."""
    check_positive(name, abs(ratio))
    if abs(ratio) < 1 or (ratio < 0 and not either_way):
        also = ", or at most -1 for the other order of the classes" if either_way else ""
        raise UserError(
            f"`{name}` is how many times as many images the commonest class has as the rarest: it must be at "
            f"least 1{also}, got {ratio:g}"
        )


def long_tail(
    sizes: Sequence[int], classes: Sequence[str], ratio: float, most: int | None = None
) -> list[int]:
    """``floor(most * |ratio|^(-c / (C - 1)))`` for c = 0 ... C - 1: how many images to take of each class.

    Args:
        sizes: images that there are of each of the C classes.
        classes: C names, for messages.
        ratio: of the commonest class to the rarest; the first class is the commonest, or the last where it is
            negative.
        most: images of the commonest class; default: as many as there are images enough for in all classes.

    Returns:
        C numbers above 0, none above its size.

    Raises:
        ValueError: a class has fewer images than that, or would get none.

    Source: Cui et al., "Class-Balanced Loss Based on Effective Number of Samples" (CVPR 2019), section 5.1,
    which the semi-supervised benchmarks follow (Kim et al., DARP, NeurIPS 2020).
    """
    last = max(1, len(sizes) - 1)
    shares = [abs(ratio) ** (-place / last) for place in range(len(sizes))][:: 1 if ratio > 0 else -1]
    if most is None:
        most = int(min(size / share for size, share in zip(sizes, shares, strict=True)) + 1e-9)
    check_positive("the number of images of the commonest class", most)
    counts = [int(most * share + 1e-9) for share in shares]  # 500 / 100 is just under 5
    if min(counts) == 0:
        raise UserError(
            f"a ratio of {abs(ratio):g} leaves the rarest class no image where the commonest has {most}: "
            f"lower it, or take at least {int(-(-abs(ratio) // 1))}"
        )
    for name, size, count in zip(classes, sizes, counts, strict=True):
        if size < count:
            raise UserError(
                f"class {name!r} has {counts_of(size, 'image')}, fewer than the {count} that a ratio of "
                f"{ratio:g} from {most} on asks for: take fewer"
            )
    return counts
