"""Runs that train a head alone: what they refuse, where they start, and the network that comes out."""

import copy
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ssl_mix.algorithm import Algorithm
from ssl_mix.augment.views import kind_of
from ssl_mix.datasets import DataSet, Split
from ssl_mix.engine.execution import resolve_device
from ssl_mix.engine.feed import check_parts
from ssl_mix.engine.trainer import Trainer
from ssl_mix.errors import UserError
from ssl_mix.passes import backbone
from ssl_mix.randomness import stream_seed
from ssl_mix.runs.features import Features, Progress, features_of, read_tensors, write_tensors
from ssl_mix.runs.reading import reading
from ssl_mix.runs.run import Run
from ssl_mix.runs.starts import Start, start_head
from ssl_mix.transfer.head_net import HeadNet, OnBody, on_body_as
from ssl_mix.transfer.looks import looks_in
from ssl_mix.types import Task

BODY = "body.pt"


def check_head_alone(algorithm: Algorithm) -> None:
    """Raise where an algorithm, or what mixes for it, asks for more than features and a head.

    Raises:
        ValueError: it does.
    """
    name, reason = type(algorithm).__name__, algorithm.needs_body
    if reason:
        raise UserError(f"{name} {reason}, and `tune=head` trains a head on features: take `tune=all`")
    mixing = getattr(algorithm, "mixing", None)
    if mixing is None or mixing.mix == "none":
        return
    if mixing.mixer != "mixup":
        raise UserError(
            f"`mixer={mixing.mixer}` mixes pixels or hidden layers, and `tune=head` mixes features: take "
            "`mixer=mixup`"
        )
    if mixing.mix_head == "own":
        raise UserError(
            "`mix_head=own` lets mixed images teach all but the head that answers, and `tune=head` trains "
            "nothing else: take `mix_head=shared`, or `tune=norms`"
        )


def learned_features(
    run: Run, data: DataSet, split: Split, net: nn.Module | None, progress: Progress | None
) -> Features:
    """The features that a new run learns from, once it is known that it can.

    Args:
        run: that trains a head alone.
        data: the images.
        split: which of them are labeled.
        net: the body, in place of the one that the options name.
        progress: told how far it is.
    """
    check_head_alone(run.algorithm)
    views = {*run.algorithm.labeled_views, *run.algorithm.unlabeled_views}
    if not run.net.feature_views and "strong" in map(kind_of, views):
        name = type(run.algorithm).__name__
        raise UserError(f"{name} learns from strong views, and `feature_views=0` has none: take 1 or more")
    check_parts(run.algorithm, split)
    return cached_features(run, data, None, net, progress)


def reopened_features(
    folder: Path, run: Run, data: DataSet, net: nn.Module | None, progress: Progress | None
) -> Features:
    """Those of a run that has begun, computed again if they are no longer in its folder."""
    shape = data.augmentation.seen(data.train.images.shape)
    body = load_body(folder, run, net, shape, len(data.classes))["net"]
    return cached_features(run, data, folder, body, progress)


def cached_features(
    run: Run,
    data: DataSet,
    folder: Path | None,
    body: nn.Module | None = None,
    progress: Progress | None = None,
) -> Features:
    """The features of a run's images; where a folder is given they are read from it, or kept there.

    Args:
        run: how many views, and the seed of their draws.
        data: the images.
        folder: that holds the features, or will.
        body: that makes them; default: the network that the run names.
        progress: told how far it is.
    """
    body = run.first_network(data) if body is None else body
    device = resolve_device(run.config.device)
    return features_of(
        data,
        body,
        count=run.net.feature_views,
        seed=run.config.seed,
        tta=run.net.tta,
        device=device,
        folder=folder,
        progress=progress,
    )


def begin_head(run: Run, features: Features, split: Split) -> tuple[Trainer, Start | None]:
    """A trainer of a head where it starts, and what was found of that; the probe's accuracies are those on
    features as the network makes them."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(stream_seed(run.config.seed, "weights"))
        net = features.network()
    first = start_head(net, run.net, run.algorithm, features.data, split, run.config)
    first = None if first is None else with_probe(first, features, split)
    return run.trainer(features.data, split, net=net), first


def with_probe(first: Start | None, features: Features, split: Split) -> Start:
    """What was found of a start, with the accuracies of the probe on features as the network makes them."""
    first = Start("random", features.probe(split).strength, {}) if first is None else first
    return first._replace(scores=first.scores | features.probe_scores(split))


def on_images(features: Features, trained: nn.Module) -> OnBody:
    """A network for images to go on with: a copy of the body, and on it a copy of a trained head."""
    top = features.network()
    top.head.load_state_dict(backbone(trained).head.state_dict())
    return OnBody(copy.deepcopy(features.body), top, features.center.clone(), features.looks)


def save_body(folder: Path, features: Features, split: Split) -> None:
    """Write what makes features of images, with the probe for its own head, to the folder of a run: it is
    then whole, wherever the weights that it started from go."""
    features.probe(split).apply_to(features.body)
    seen = {"center": features.center, "looked": torch.tensor(features.looks)}
    write_tensors(folder / BODY, {"body": features.body.state_dict(), **seen})


def load_body(
    folder: Path, run: Run, net: nn.Module | None, shape: tuple[int, int, int], num_classes: int
) -> dict[str, Any]:
    """What ``save_body`` wrote: "net", the body with its weights, "center" and "looks".

    Raises:
        ValueError: the file is missing or damaged.
    """
    content = read_tensors(folder / BODY)
    if content is None:
        raise UserError(
            f"{folder / BODY}, the network behind the head, is missing or damaged: put a copy in its place, "
            "or train again"
        )
    body = net or run.net.without_weights().build(shape, num_classes, run.config.seed)
    with reading(folder / BODY):
        body = on_body_as(body, content["body"])
        body.load_state_dict(content["body"])
        return {"center": content["center"], "looks": looks_in(content["looked"]), "net": body}


def whole_networks(
    folder: Path, run: Run, net: nn.Module | None, state: dict[str, Any], task: Task
) -> tuple[nn.Module, nn.Module]:
    """For images: a trained head on its body, and that body with the probe for a head.

    Args:
        folder: of the run.
        run: that trained a head alone.
        net: the body, in place of the one that the options name; its weights do not matter.
        state: of the head, with what the algorithm has added.
        task: of the run.
    """
    body = load_body(folder, run, net, task.image_shape, task.num_classes)
    width = len(body["center"])
    task = task._replace(image_shape=(width, 1, 1))
    top = run.algorithm.extend(HeadNet(width, task.num_classes), task)
    top.load_state_dict(state)
    return OnBody(body["net"], top, body["center"], body["looks"]), body["net"]
