"""What trained runs say of the unlabeled images of another one, before its first step."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from ssl_mix.algorithms import VPet
from ssl_mix.datasets import DataSet
from ssl_mix.engine.trainer import Trainer
from ssl_mix.errors import UserError
from ssl_mix.evaluation import predict_logits
from ssl_mix.runs.trained import TrainedRun, load_trained


def cast_votes(trainer: Trainer, images: DataSet) -> None:
    """Ask the teachers of a trainer's algorithm, if it is :class:`VPet`, for their votes.

    Args:
        trainer: at step 0.
        images: its data; where it trains a head on features, the images behind them.

    Raises:
        ValueError: there are no teachers, or one is no trained run, has other classes, or stores images in
            another form.
    """
    algorithm = trainer.algorithm
    if not isinstance(algorithm, VPet):
        return
    if not algorithm.teachers:
        raise UserError("v-pet learns the votes of trained runs: name their folders (`teachers=RUN RUN`)")
    device = str(trainer.device)
    votes = [
        _votes(load_trained(Path(folder), device), images, trainer.feed.unlabeled)
        for folder in algorithm.teachers
    ]
    algorithm.cast(torch.stack(votes, dim=1))


def _votes(teacher: TrainedRun, images: DataSet, unlabeled: Tensor) -> Tensor:
    """The class of each unlabeled image by one run, (U,), numbered as in the data."""
    _check_fits(teacher, images)
    numbers = torch.tensor([images.classes.index(name) for name in teacher.classes])
    answers = predict_logits(
        teacher.net, images.train.images, teacher.augmentation, teacher.device, indices=unlabeled
    )
    return numbers[answers.argmax(dim=1)]


def _check_fits(teacher: TrainedRun, images: DataSet) -> None:
    if sorted(teacher.classes) != sorted(images.classes):
        raise UserError(
            f"the classes of a teacher must be those of the data: {teacher.folder} knows "
            f"{_some(teacher.classes)}, the data {_some(images.classes)}"
        )
    stored, given = (teacher.shape[0], teacher.stored_size), (*images.train.images.shape[:2],)
    if stored != given:
        raise UserError(
            f"a teacher must have learned from images of the same form: {teacher.folder} has {stored[0]} "
            f"channels of {stored[1]} pixels, the data {given[0]} of {given[1]} (`image_size`)"
        )


def _some(names: Sequence[str]) -> str:
    return f"{len(names)} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"
