"""What suggestions and an audit look at: the images to learn from, and what a network makes of them."""

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ssl_mix.datasets import DataSet, Split
from ssl_mix.datasets.assembly import Listing, Options, assemble
from ssl_mix.datasets.data import UNKNOWN
from ssl_mix.datasets.packed import Paths
from ssl_mix.engine.execution import resolve_device
from ssl_mix.errors import UserError
from ssl_mix.evaluation import plain_features
from ssl_mix.passes import backbone
from ssl_mix.runs.changes import Changes
from ssl_mix.runs.data_options import DataOptions, Progress
from ssl_mix.runs.features import FEATURES, fingerprint, plain_rows, read_tensors
from ssl_mix.runs.net_options import NetOptions
from ssl_mix.runs.predicting import find_images
from ssl_mix.runs.reread import reread
from ssl_mix.runs.trained import TrainedRun
from ssl_mix.transfer.head_net import OnBody, standardized

CHUNK = 4096
SIDE = 224  # pixels, where nobody knows what weights were trained on


class Scene(NamedTuple):
    """N images to learn from and their features.

    Attributes:
        data: the images.
        split: which of them are labeled.
        features: of all, (N, D) float32.
        probabilities: what a trained run says of all, (N, C) float32; None of a network without a classifier.
        notes: what the user must be told.
    """

    data: DataSet
    split: Split
    features: Tensor
    probabilities: Tensor | None
    notes: tuple[str, ...]


def scene_of_run(
    trained: TrainedRun, *, data_root: Path | None = None, progress: Progress | None = None
) -> Scene:
    """The images that a run learned from, as its teacher sees them; nothing is written.

    Where a head alone was trained, features that are in the folder of the run are not computed again.

    Args:
        trained: the run.
        data_root: folder that holds the images now.
        progress: told how far it is.

    Raises:
        ValueError: its data are not there or not the same.
    """
    found = reread(trained.folder, changes=Changes(data_root), progress=progress)
    features = kept_features(trained, found.data)
    if features is None:
        images = found.data.train.images
        told = None if progress is None else lambda done, total: progress("features", done, total)
        features = plain_features(trained.net, images, trained.augmentation, trained.device, progress=told)
    head = backbone(trained.net).head
    with torch.inference_mode():
        parts = [
            head(part.to(trained.device)).float().softmax(dim=1).cpu()
            for part in torch.split(features, CHUNK)
        ]
    return Scene(found.data, found.split, features, torch.cat(parts), found.data.notes)


def kept_features(trained: TrainedRun, data: DataSet) -> Tensor | None:
    """The features of plain views, (N, D), that a run of a head alone keeps in its folder, as its head reads
    them; None where there are none, or of other images."""
    run, net = trained.run, trained.net
    kept = (
        read_tensors(trained.folder / FEATURES)
        if isinstance(net, OnBody) and run.net.tune == "head"
        else None
    )
    if kept is None or not isinstance(net, OnBody):
        return None
    count = run.net.feature_views
    if kept.get("fingerprint") != fingerprint(data, net.body, count, run.config.seed, net.looks):
        return None
    plain = kept["averaged"]
    plain = kept["table"][plain_rows(data, count)] if plain is None else plain
    return standardized(plain[: len(data.train.labels)], net.center.cpu())


def scene_of_network(
    data: DataSet,
    split: Split,
    options: NetOptions,
    *,
    device: str = "auto",
    progress: Progress | None = None,
) -> Scene:
    """Images as a network with pre-trained weights sees them.

    Args:
        data: the images, in a size that the weights know.
        split: which of them are labeled.
        options: the network and its weights.
        device: "auto", "cpu" or "cuda".
        progress: told how far it is.

    Raises:
        ValueError: the network has no weights.
    """
    if not options.from_weights:
        raise UserError(
            f"`net={options.net}` has no weights, and features of random ones say nothing: take `net=lite0`, "
            "a file of weights or the folder of a run"
        )
    normalization: Any = options.normalization()
    augmentation = dataclasses.replace(data.of_pixels, **normalization)
    shape = augmentation.seen(data.train.images.shape)
    place = resolve_device(device)
    net = options.build(shape, max(2, len(data.classes)), 0).to(place)
    told = None if progress is None else lambda done, total: progress("features", done, total)
    features = plain_features(net, data.train.images, augmentation, place, progress=told)
    return Scene(data, split, features, None, data.notes)


def read_unlabeled(folder: Path, size: int, progress: Progress | None = None) -> DataSet:
    """The images in a folder, flat or nested, as a data set without a class.

    Args:
        folder: where they are.
        size: side in pixels.
        progress: told how far reading them is.

    Raises:
        ValueError: there is none that can be read.
    """
    files, notes = find_images(folder)
    listing = Listing(Paths(file.absolute() for file in files), [UNKNOWN] * len(files))
    return assemble(listing, None, (), notes, Options(size, None, progress))


def size_for(options: NetOptions, asked: int | None) -> int:
    """The side in pixels that is asked for, else that of the images that the weights were trained on."""
    return asked or options.trained_size() or SIDE


def read_labeled(data: str, size: int, progress: Progress | None = None) -> DataSet:
    """Labeled images: a folder with a sub-folder per class, a table, or the name of a data set.

    Args:
        data: where they are.
        size: side in pixels, of those that have none of their own.
        progress: told how far reading them is.

    Raises:
        ValueError: they are laid out differently.
    """
    path = Path(data)
    if path.suffix.lower() in (".csv", ".tsv"):
        options = DataOptions(table=data, image_size=size)
    elif path.exists():
        options = DataOptions(train=data, image_size=size)
    else:
        options = DataOptions(data=data)
    return options.absolute().load(progress)
