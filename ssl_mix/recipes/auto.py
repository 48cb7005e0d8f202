"""``ssl_mix.auto``: the way to learn from few labels that cross-validation over them finds best."""

import dataclasses
import logging
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ssl_mix.datasets.registry import takes
from ssl_mix.errors import UserError, check_positive
from ssl_mix.models.first_weights import images_behind
from ssl_mix.recipes.body import Tell, climb_body, start_body
from ssl_mix.recipes.build import GROUPS, fields_of
from ssl_mix.recipes.fit import are_arrays, handed_over, train_session
from ssl_mix.recipes.found import Found, reason
from ssl_mix.recipes.image_size import affordable_size, is_free
from ssl_mix.recipes.ladder import PROBE, RUNGS, WHITENED, Climbed, Rung, choose, climb, doubt, folds, run_of
from ssl_mix.runs.data_options import Progress
from ssl_mix.runs.features import Features
from ssl_mix.runs.folder import check_run_folder
from ssl_mix.runs.given import Given
from ssl_mix.runs.head import learned_features
from ssl_mix.runs.places import check_outside, check_test_is_apart
from ssl_mix.runs.prepared import read_data
from ssl_mix.runs.session import Session, start
from ssl_mix.runs.trained import TrainedRun
from ssl_mix.shell import at_home, quoted

STEPS = 300
LR = 0.01
DEFAULT_NET = "lite0"
log = logging.getLogger("ssl_mix")


def auto(
    labeled: Any = None,
    unlabeled: Any = None,
    test: Any = None,
    *,
    net: nn.Module | str | None = None,
    out: str | Path | None = None,
    minutes: float = 10.0,
    overwrite: bool = False,
    on_rung: Callable[[Climbed], None] | None = None,
    **options: Any,
) -> TrainedRun:
    """Learn from few labels with a pre-trained network, by whatever does best on held-out labels.

    Features of every image are computed once. On them, a linear probe and the head among whitened features
    (:func:`ssl_mix.transfer.whitened.whitened`) are compared by stratified cross-validation over the labels,
    and one of them is fitted to all labels: see :func:`ssl_mix.recipes.ladder.choose`. Where time is left the
    body is trained from that head, on as many folds as fit, and kept where that gains.

    Args:
        labeled: as for :func:`ssl_mix.fit`, like the next three.
        unlabeled: images without labels.
        test: images to evaluate on; nothing is chosen by them.
        net: weights, a name, or a module; default: "lite0".
        out: folder of the run; default: a new temporary one.
        minutes: features may take half of them, which decides the size of images unless ``image_size`` does;
            the body is trained if it fits into the rest.
        overwrite: replace a run that the folder holds.
        on_rung: called with each rung that was tried.
        **options: of data, network and optimization, as for :func:`ssl_mix.fit`.

    Returns:
        The trained network; its folder is that of an ordinary run, with the ladder in ``auto.json``. What
        ends it while the body is tried leaves the run of the head there.

    Raises:
        ValueError: anything that you can mend, before any training.
    """
    folder = Path(tempfile.mkdtemp(prefix="ssl-mix-") if out is None else at_home(out))
    if net is None and not (options.get("net") or options.get("pretrained")):
        net = DEFAULT_NET

    def read(size: int | None) -> tuple[dict[str, Any], Given]:
        sized = {} if size is None else {"image_size": size}
        return handed_over(labeled, unlabeled, test, net, options | sized, ("fine-tuning", "small"))

    free = is_free(options) and not are_arrays(labeled)
    known = images_behind(net) if free and isinstance(net, nn.Module) else None
    given_options, given = read(None if known is None else known.size)
    session, found = prepare(
        folder,
        given_options,
        given=given,
        minutes=minutes,
        overwrite=overwrite,
        on_rung=on_rung,
        tell=log.warning,
        resized=(lambda size: read(size)[1]) if free else None,
    )
    session.tell(log.warning, found.reasons)
    return train_session(session, given, None)


def prepare(
    folder: Path,
    options: Mapping[str, Any],
    *,
    given: Given = Given(),  # noqa: B008 (a tuple)
    features: Features | None = None,
    minutes: float = 10.0,
    overwrite: bool = False,
    on_rung: Callable[[Climbed], None] | None = None,
    progress: Progress | None = None,
    tell: Tell = lambda _: None,
    resized: Callable[[int], Given] | None = None,
) -> tuple[Session, Found]:
    """The session of the rung that is best, ready to train, and why it is that one.

    Args:
        folder: of the run.
        options: of the user.
        given: data and network that were handed over.
        features: of the images, where they are known already.
        minutes: see :func:`auto`, like the next two.
        overwrite: likewise.
        on_rung: likewise.
        progress: told how far reading the images is.
        tell: told what is decided on the way, and why.
        resized: what was handed over, with images of another size, which the time decides then; default:
            they have the size that is wanted.

    Raises:
        ValueError: anything the user can mend; no folder has been made or replaced then.
    """
    check_positive("minutes", minutes)
    check_options(options)
    if given.net is None and not (options.get("net") or options.get("pretrained")):
        options = {"net": DEFAULT_NET, **options}
    began = time.perf_counter()
    options = chosen_options(options)
    check_run_folder(folder, overwrite=overwrite)
    run = run_of(PROBE, options).settled()
    check_outside(run.data.folders, folder, "out")
    check_test_is_apart(run.data.folders)
    data = read_data(run, given, progress) if features is None else features.images
    if resized is not None and takes(run.data.source, "image_size"):
        size = affordable_size(run, data, given, minutes)
        tell(size.reason)
        if size.pixels != data.augmentation.seen(data.train.images.shape)[1]:
            options, given = {**options, "image_size": size.pixels}, resized(size.pixels)
            run = run_of(PROBE, options).settled()
            data = read_data(run, given, progress)
    for note in data.notes:  # before the minutes pass
        tell(note)
    split = run.data.choose_split(data, run.config.seed)
    if features is None:
        net = given.network(len(data.classes), run.config.seed)
        features = learned_features(run, data, split, net, progress)
    splits = folds(split, data.train.labels, run.config.seed)
    found = search(options, features, splits, on_rung)
    if found.doubt:
        tell(found.doubt)
    run = run_of(found.rung, options)
    session = start(run, folder, given=given, features=features, overwrite=overwrite)
    session.trainer.seconds = time.perf_counter() - began  # most of what such a run takes
    session.save()
    found.save(folder)
    if splits:
        with head_that_stays(folder, found.rung, tell), torch.random.fork_rng(devices=[]):  # heads are drawn
            body = climb_body(found.rung, options, features, splits, began + 60 * minutes, tell, progress)
        found = found._replace(body=body)
        if body is not None and body.kept:
            session = start_body(body, options, folder, given, features, split)
        found.save(folder)
    session.trainer.seconds = time.perf_counter() - began
    rest = tuple(note for note in session.notes if note not in data.notes)
    return dataclasses.replace(session, notes=rest), found


def chosen_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of the user, and how the body is trained where they do not say it; heads need plain views
    alone, from several looks."""
    steps = options.get("steps", STEPS)
    every = {"log_every": 100, "eval_every": steps, "checkpoint_every": steps}
    views = {"feature_views": 0, "tta": True}
    return {"steps": steps, "lr": LR, "head_lr_factor": 1.0, **views, **every, **options}


def check_options(options: Mapping[str, Any]) -> None:
    """Raise for options of algorithms, which are chosen here."""
    known = {name for group in GROUPS.values() for name in fields_of(group)} - {"tune", "head_start"}
    strange = [name for name in options if name not in known]
    if strange:
        raise UserError(f"auto chooses the algorithm and its options by itself: leave out `{strange[0]}`")


def search(
    options: Mapping[str, Any],
    features: Features,
    splits: Sequence[Any],
    on_rung: Callable[[Climbed], None] | None,
) -> Found:
    """Try the rungs and choose one."""
    if not splits:
        nothing = "classes of one label leave too little to cross-validate with"
        return Found(WHITENED, (), f"{nothing}: it was ahead of the probe where that was measured")
    ladder: list[Climbed] = []
    probe = None
    for rung in RUNGS:
        climbed, right = climb(rung, options, features, splits, probe)
        probe = right if probe is None else probe
        ladder.append(climbed)
        if on_rung is not None:
            on_rung(climbed)
    taken = choose(ladder)
    held_out = features.data.train.labels[[position for part in splits for position in part.validation]]
    told = reason(ladder, len(splits))
    return Found(taken.rung, tuple(ladder), told, doubt=doubt(taken, held_out))


@contextmanager
def head_that_stays(folder: Path, rung: Rung, tell: Tell) -> Iterator[None]:
    """Within the block the body is tried, minutes long: what ends it says what the folder holds all the
    same."""
    try:
        yield
    except BaseException:
        tell(
            f"the body is left as it was: {folder} holds {rung.name}, found before, which answers as it is "
            f"(ssl-mix evaluate, ssl-mix predict); ssl-mix resume {quoted(folder)} writes its report"
        )
        raise
