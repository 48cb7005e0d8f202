"""What a trained run says of image files."""

import os
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from ssl_mix.augment.views import Views
from ssl_mix.datasets.ahead import FilesAhead
from ssl_mix.datasets.assembly import scaled_notes
from ssl_mix.datasets.formats import others_note
from ssl_mix.datasets.listing import look_through
from ssl_mix.datasets.originals import Form
from ssl_mix.engine.precision import answers_faster
from ssl_mix.errors import UserError, counts_of, verb_for
from ssl_mix.evaluation import predict_logits
from ssl_mix.runs.answers import Predictions
from ssl_mix.runs.data_options import Progress
from ssl_mix.runs.rejecting import Rejection

Precision = Literal["off", "bf16", "auto"]


class Predictor(Protocol):
    """A trained run, or an exported network."""

    @property
    def net(self) -> nn.Module:
        """Logits of what the views make of stored images."""

    @property
    def augmentation(self) -> Views:
        """The views."""

    @property
    def device(self) -> torch.device:
        """Where the network is."""

    @property
    def form(self) -> Form:
        """How images are stored."""


class FileAnswers(NamedTuple):
    """Logits of files.

    Attributes:
        files: all, each once, in the order in which they were given.
        logits: of those that could be read, (N, C) float32.
        broken: files that could not, each with the reason.
        notes: what the user must be told of the others.
    """

    files: list[Path]
    logits: Tensor
    broken: list[tuple[Path, str]]
    notes: tuple[str, ...]


def predict(
    trained: Predictor,
    paths: Sequence[Path],
    *,
    temperature: float = 1.0,
    rejection: Rejection | None = None,
    progress: Progress | None = None,
) -> Predictions:
    """Class probabilities of images, resized and cut as in training, by what the network sees of their
    center.

    Args:
        trained: from ``load_trained``, or an exported network.
        paths: files, and folders that are searched for images.
        temperature: that logits are divided by.
        rejection: of images of no class.
        progress: told how far reading the images is.

    Raises:
        ValueError: a path is missing, or a folder without images.
    """
    found = answer_files(trained, paths, None if rejection is None else rejection.net, progress=progress)
    logits, rejected = found.logits, None
    if rejection is not None:
        logits, rejected = logits[:, :-1], logits[:, -1] < rejection.threshold
    probabilities = (logits / temperature).softmax(dim=1)
    return Predictions(found.files, probabilities, found.broken, found.notes, rejected)


def answer_files(
    trained: Predictor,
    paths: Sequence[Path],
    net: nn.Module | None = None,
    *,
    progress: Progress | None = None,
) -> FileAnswers:
    """Logits of images, each file once, by ``net`` where one is given; else as :func:`predict`."""
    looked = [find_images(path) for path in paths]
    files, twice = each_once(file for found, _ in looked for file in found)
    images = FilesAhead(files, trained.form, progress=progress)
    logits = predict_logits(net or trained.net, images, trained.augmentation, trained.device)
    broken = [(files[position], why) for position, why in sorted(images.broken.items())]
    notes = [*dict.fromkeys(note for _, told in looked for note in told), *twice]
    return FileAnswers(files, logits[images.kept], broken, (*notes, *scaled_notes(images.scaled)))


def each_once(files: Iterable[Path]) -> tuple[list[Path], list[str]]:
    """Files by the names under which they come first, and a note where some come again: by the same path, by
    another one, or by a link."""
    first: dict[str, Path] = {}
    again: list[tuple[Path, Path]] = []
    for file in files:
        place = os.path.realpath(file)
        if place in first:
            again.append((file, first[place]))
        else:
            first[place] = file
    if not again:
        return list(first.values()), []
    name, known = again[0]
    count = f"{counts_of(len(again), 'image')} {verb_for(len(again))}"
    which = f"{name} for one" + ("" if name == known else f", which is {known}")
    return list(first.values()), [f"{count} given more than once and answered once: {which}"]


def settled_precision(
    amp: Precision, net: nn.Module, shape: tuple[int, int, int], device: torch.device
) -> Precision:
    """ "bf16" or "off"; of "auto" the first where a GPU can, or this processor was measured to be faster so.

    Args:
        amp: what is asked for.
        net: in evaluation mode, on the device.
        shape: (C, H, W) of what it sees.
        device: where it answers.
    """
    if amp != "auto":
        return amp
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "off"
    return "bf16" if answers_faster(net, shape) else "off"


def computing(amp: Precision, device: torch.device) -> AbstractContextManager[object]:
    """Within the block networks compute in bfloat16 where autocast allows it, if ``amp`` is "bf16"."""
    return torch.autocast(device.type, torch.bfloat16) if amp == "bf16" else nullcontext()


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
    return list(found.images), notes
