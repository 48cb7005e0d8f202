"""The linear probe on the features that a run began with, for a run that has not recorded it."""

from collections.abc import Callable

from torch import Tensor

from ssl_mix.datasets import ImageSource
from ssl_mix.errors import UserError
from ssl_mix.evaluation import accuracy, plain_features
from ssl_mix.passes import is_backbone
from ssl_mix.randomness import stream_generator
from ssl_mix.runs.answered import Answered
from ssl_mix.runs.data_options import Progress
from ssl_mix.runs.folder import read_config
from ssl_mix.runs.learned import read_learned, split_of
from ssl_mix.runs.starts import some
from ssl_mix.transfer.starts import probe


def first_probe_accuracy(answered: Answered, progress: Progress | None = None) -> float:
    """Share of the test images that logistic regression has right, fitted to the labeled images by the
    features of the network before any training: that of random weights for a run from those.

    Raises:
        ValueError: the network was handed over in Python or has no linear head over features, or the labeled
            images cannot be read again.
    """
    trained = answered.trained
    run, folder = trained.run, trained.folder
    if read_config(folder)["given"]["net"]:
        raise UserError("the network was handed over in Python, and its first weights are not known")
    data = read_learned(run, folder, data_dir=answered.data_dir, progress=progress)
    net = run.first_network(data).to(trained.device)
    if not is_backbone(net):
        raise UserError("the network has no linear head over features")
    labeled = some(split_of(folder).labeled, stream_generator(run.config.seed, "start"))

    def features(images: ImageSource, indices: Tensor, what: str) -> Tensor:
        told = None if progress is None else _telling(progress, f"features before training: {what}")
        return plain_features(
            net, images, trained.augmentation, trained.device, indices=indices, progress=told
        )

    known = features(data.train.images, labeled, "labeled images")
    head = probe(known, data.train.labels[labeled], len(trained.classes), seed=run.config.seed)
    tested = features(answered.images, answered.positions, "test images")
    return accuracy(answered.of_columns(head(tested)), answered.labels)


def _telling(progress: Progress, label: str) -> Callable[[int, int], None]:
    return lambda done, total: progress(label, done, total)
