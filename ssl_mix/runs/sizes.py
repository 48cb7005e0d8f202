"""Images far smaller than those that the first weights were trained on: said, with what larger ones cost."""

from ssl_mix.datasets import DataSet
from ssl_mix.datasets.registry import takes
from ssl_mix.errors import UserError
from ssl_mix.models.first_weights import images_behind
from ssl_mix.runs.given import Given
from ssl_mix.runs.net_options import GIVEN
from ssl_mix.runs.run import Run

STEP = 32  # pixels: by so much most networks shrink an image
PAYING = (3 / 7, 4 / 7, 1.0)  # 96, 128 and 224 of 224


def paying_sizes(trained: int) -> list[int]:
    """Sides of images that pay with weights of images of the side ``trained``, of which one may choose.

    The linear probe on EfficientNet-Lite0 (224 pixels) at 32, 64, 96, 128, 160 and 224 pixels: 24, 63, 81,
    88, 88, 90 % on 50 classes of Caltech-101 with 5 labels each; 30, 46, 55, 58, 57, 59 % on CIFAR-10, whose
    32 pixels are enlarged, with 10 labels each; 37, 53, 73, 77, 78, 73 % on five birds with 5 labels each.
    """
    return sorted({min(trained, max(STEP, STEP * round(share * trained / STEP))) for share in PAYING})


def is_far_smaller(seen: int, trained: int) -> bool:
    """Whether images of the side ``seen`` are below all that pay: less than three sevenths."""
    return seen < min(PAYING[0] * trained, paying_sizes(trained)[0])


def fitting_size(trained: int | None, own: int | None) -> int | None:
    """The side at which images are stored for weights that were trained on images of the side ``trained``;
    None to leave them as they are.

    Args:
        trained: None where it is not known.
        own: side of images in arrays, which are enlarged as far as it pays; None of files, which are read at
            the side of the weights.
    """
    if trained is None or own is None:
        return trained
    return paying_sizes(trained)[0] if is_far_smaller(own, trained) else None


def check_one_size(run: Run) -> None:
    """Raise where images were to have another size in tests for a head alone."""
    if run.net.tune == "head" and run.data.test_image_size is not None:
        raise UserError(
            "`test_image_size` is for networks that learn at another size, and `tune=head` computes the "
            "features of all images at one: choose that with `image_size`"
        )


def size_notes(run: Run, data: DataSet, given: Given) -> tuple[str, ...]:
    """A note where the network sees images far smaller than those that its weights were trained on.

    Args:
        run: names the weights.
        data: the images.
        given: a network with weights of its own.
    """
    seen, trained = data.augmentation.seen(data.train.images.shape)[-1], run.net.trained_size()
    if run.net.pretrained == GIVEN and given.net is not None:
        known = images_behind(given.net)
        trained = None if known is None else known.size
    if trained is None or not is_far_smaller(seen, trained):
        return ()
    return (
        f"the network sees {seen}x{seen} pixels, and its weights were trained on {trained}x{trained}: much "
        f"of what they know is lost. {_choices(seen, trained)}, also where images are only enlarged: "
        f"{_way(run, given)}",
    )


def _choices(seen: int, trained: int) -> str:
    """Larger sizes, with what they cost."""
    told = [f"{size} ({(size / seen) ** 2:.0f} times the computing)" for size in paying_sizes(trained)]
    return f"Sizes that pay are {', '.join(told)}"


def _way(run: Run, given: Given) -> str:
    """How to get another size."""
    if given.data is not None or takes(run.data.source, "image_size"):
        return "`image_size`"
    return (
        f"`data={run.data.source}` has a size of its own, so hand its images over as a folder or as arrays, "
        "with `image_size`"
    )
