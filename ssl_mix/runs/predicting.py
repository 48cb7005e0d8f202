"""What a trained run says of image files."""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch

from ssl_mix.datasets import ResidentImages
from ssl_mix.datasets.assembly import scaled_notes
from ssl_mix.datasets.decode import Scaled
from ssl_mix.datasets.decode_many import read_all
from ssl_mix.datasets.formats import others_note
from ssl_mix.datasets.listing import look_through
from ssl_mix.datasets.originals import Form
from ssl_mix.errors import UserError
from ssl_mix.evaluation import predict_probabilities
from ssl_mix.runs.answers import Predictions
from ssl_mix.runs.data_options import Progress
from ssl_mix.runs.trained import TrainedRun

AT_ONCE = 2**28  # bytes of stored images


def predict(trained: TrainedRun, paths: Sequence[Path], *, progress: Progress | None = None) -> Predictions:
    """Class probabilities of images, resized and cut as in training, by what the network sees of their
    center.

    Args:
        trained: from ``load_trained``.
        paths: files, and folders that are searched for images.
        progress: told how far reading the images is.

    Raises:
        ValueError: a path is missing, or a folder without images.
    """
    looked = [find_images(path) for path in paths]
    files = [file for found, _ in looked for file in found]
    form = Form(trained.stored_size, trained.shape[0], trained.run.data.fit)
    chunk = max(1, AT_ONCE // (form.channels * form.size**2))
    probabilities, broken = [torch.empty(0, len(trained.classes))], []
    scaled: Counter[Scaled] = Counter()
    for start in range(0, len(files), chunk):
        shown = None if progress is None else partial(_shifted, progress, start, len(files))
        reading = read_all(files[start : start + chunk], *form, keep=True, progress=shown)
        broken += reading.broken
        scaled += reading.scaled
        if reading.images is not None and len(reading.images):
            source = ResidentImages(reading.images)
            probabilities.append(
                predict_probabilities(trained.net, source, trained.augmentation, trained.device)
            )
    notes = [note for _, told in looked for note in told]
    return Predictions(files, torch.cat(probabilities), broken, (*notes, *scaled_notes(scaled)))


def _shifted(progress: Progress, done_before: int, total: int, label: str, done: int, _: int) -> None:
    progress(label, done_before + done, total)


def find_images(path: Path) -> tuple[list[Path], list[str]]:
    """``path`` itself, or the images in that folder and below, and notes of what else is there.

    Raises:
        ValueError: it does not exist, or is a folder without images.
    """
    if not path.exists():
        raise UserError(f"{path} does not exist: expected an image or a folder of images")
    if not path.is_dir():
        return [path], []
    found = look_through(path)
    notes = [*found.notes, *others_note(found.others, path)]
    if not found.images:
        raise UserError("; ".join([f"{path} holds no images", *notes]))
    return found.images, notes
