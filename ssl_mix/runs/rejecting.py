"""Where a trained run draws the line between images of its classes and images of none."""

from typing import NamedTuple

import torch

from ssl_mix.algorithm import Scored
from ssl_mix.errors import counts_of, verb_for
from ssl_mix.evaluation import predict_logits
from ssl_mix.runs.data_options import Progress
from ssl_mix.runs.learned import read_learned, split_of
from ssl_mix.runs.trained import TrainedRun


class Rejection(NamedTuple):
    """When an answer is "none of these".

    Attributes:
        net: answers with logits and a score (N, C + 1), see :class:`ssl_mix.algorithm.Scored`.
        threshold: images whose score is below it are of no class.
        note: how it was chosen.
    """

    net: Scored
    threshold: float
    note: str


def choose_rejection(trained: TrainedRun, share: float, progress: Progress | None = None) -> Rejection:
    """The threshold below which ``share`` of the images lie that were held out, or else learned from, with
    labels.

    Args:
        trained: a run; its images are read again.
        share: of images of its classes that may be rejected, in [0, 1).
        progress: told how far reading the images is.

    Raises:
        ValueError: its images are not there or not what they were.
    """
    data = read_learned(trained.run, trained.folder, progress=progress)
    split, net = split_of(trained.folder), Scored(trained.run.algorithm, trained.net)
    held_out = bool(split.validation)
    chosen = torch.tensor(split.validation if held_out else split.labeled)
    found = predict_logits(net, data.train.images, trained.augmentation, trained.device, indices=chosen)[
        :, -1
    ]
    threshold = float(found.double().quantile(share, interpolation="lower"))
    what = "held out" if held_out else "learned from"
    warning = (
        "" if held_out else ": new images of the classes look stranger (train with `validation` for that)"
    )
    note = (
        f"{share:.1%} of {counts_of(len(chosen), 'image')} with labels that "
        f"{verb_for(len(chosen), 'was', 'were')} {what} {verb_for(len(chosen), 'lies', 'lie')} below the "
        f"line{warning}"
    )
    return Rejection(net, threshold, note)
