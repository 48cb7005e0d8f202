"""A run as a function call: ``ssl_mix.fit`` trains, ``ssl_mix.load`` opens what was trained."""

import logging
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_type_hints

from torch import nn

from ssl_mix.algorithm import Algorithm
from ssl_mix.datasets import DataSet, as_dataset
from ssl_mix.datasets.pixels import is_array
from ssl_mix.datasets.tensors import TensorViews
from ssl_mix.errors import UserError, check_kinds
from ssl_mix.ranks import count, rank, wait_for_all
from ssl_mix.recipes.build import build_run, defaults_of
from ssl_mix.recipes.weights import for_handed_over
from ssl_mix.reports import write_reports
from ssl_mix.runs.data_options import DataOptions
from ssl_mix.runs.given import Given
from ssl_mix.runs.own_algorithm import name_of, place_notes
from ssl_mix.runs.session import Session, reopen, start
from ssl_mix.runs.sizes import fitting_size
from ssl_mix.runs.stopping import Stopped
from ssl_mix.runs.trained import TrainedRun, load_trained
from ssl_mix.shell import at_home

Record = dict[str, float]
SIZING = ("image_size", "weak", "strong")  # options that decide the size of images
VIEWS = ("weak", "strong", "mean", "std")
OF_FILES = ("stored_size", "test_image_size")  # options of images that are read by their paths
FOR_DATA = ("classes", "image_size", "fit", *VIEWS, "workers", "drop_copies", "cache_images")
log = logging.getLogger("ssl_mix")


def fit(
    algorithm: str | type[Algorithm],
    labeled: Any = None,
    unlabeled: Any = None,
    test: Any = None,
    *,
    net: nn.Module | str | None = None,
    out: str | Path | None = None,
    recipe: str = "small",
    overwrite: bool = False,
    resume: bool = False,
    on_record: Callable[[Record], None] | None = None,
    **options: Any,
) -> TrainedRun:
    """Train a classifier from few labels; what ``ssl-mix train`` does, with data and networks of your own.

    Args:
        algorithm: a name in ``ssl_mix.algorithms.ALGORITHMS``, "fixmatch" for instance; or the class of an
            algorithm of your own, whose keywords are options too.
        labeled: images with labels: a folder with a sub-folder per class, a list of (file, label) or
            (image, label), a table, (X, y) of arrays or lists, or a ``torch.utils.data.Dataset``; see
            :func:`ssl_mix.datasets.as_dataset`. An unknown label (-1, "") makes an unlabeled image. Or a
            whole :class:`ssl_mix.datasets.DataSet`, such as :func:`ssl_mix.datasets.tensor_data` makes of
            signals or token ids. Leave it out for a named data set: ``data="cifar10"``.
        unlabeled: images without labels, likewise.
        test: images with labels to evaluate on, likewise.
        net: a name, weights (a file or the folder of a run), or any ``nn.Module`` that gives logits, alone or
            as ``logits`` of what it returns; it is copied, and a linear head for other classes is replaced by
            a new one. Whether its weights are trained, which decides the defaults, shows in its
            normalization, or ``pretrained="default"`` and "none" say it. Default: a network for the size of
            the images.
        out: folder of the run; default: a new temporary one, ``trained.folder``.
        recipe: where defaults come from: "small", "paper", "recommended", or one of
            a paper for supervised training ("deit-s"; ``ssl-mix list recipes``).
        overwrite: replace a run that the folder holds.
        resume: go on with the run that the folder holds, called with the same arguments.
        on_record: called with each record of loss, metrics and accuracies.
        **options: any option of ``ssl-mix train``, with underscores: ``steps=2000``, ``lr=0.01``,
            ``threshold=0.9``, ``mix="dm-as"``, ``labels_per_class=4``; and ``weak=``, ``strong=`` (transforms
            of your own), ``classes=`` for data that are handed over.

    Returns:
        The trained network: ``.predict(images)``, ``.predict_proba(images)``, ``.evaluate(test)``.

    Raises:
        ValueError: anything that you can mend, before any training.
        DivergedError: a loss term became NaN or infinite.
        KeyboardInterrupt: training was interrupted, by Ctrl-C or SIGTERM; a checkpoint is in the folder, and
            ``resume=True`` goes on.
    """
    check_kinds(
        {"net": net, "out": out, "overwrite": overwrite, "resume": resume},
        {"net": nn.Module | str | None, "out": str | Path | None, "overwrite": bool, "resume": bool},
    )
    if on_record is not None and not callable(on_record):
        raise UserError(f"on_record must be a function of a record, got {type(on_record).__name__}")
    if out is None and count() > 1:
        raise UserError("several processes keep one run: name its folder with `out`")
    algorithm = name_of(algorithm)
    folder = Path(tempfile.mkdtemp(prefix="ssl-mix-") if out is None else at_home(out))
    options, given = handed_over(labeled, unlabeled, test, net, dict(options), (algorithm, recipe))
    if resume:
        session = reopen(folder, given=given)
    else:
        built = build_run(algorithm, options, recipe)
        session = start(built.run, folder, given=given, overwrite=overwrite)
        session.tell(log.warning, (*built.notes, *place_notes(algorithm)))
    return train_session(session, given, on_record)


def train_session(session: Session, given: Given, on_record: Callable[[Record], None] | None) -> TrainedRun:
    """Train to the end, write the reports, and open what was trained.

    Raises:
        KeyboardInterrupt: training was interrupted.
    """
    try:
        for record in session.records():
            if on_record is not None:
                on_record(record)
    except Stopped as stopped:
        written_reports(session)
        said = f"stopped after step {session.trainer.step}: fit(..., resume=True) goes on"
        raise Stopped(stopped.number, said) from None
    written_reports(session)
    return load_trained(session.folder, str(session.trainer.device), net=given.net)


def written_reports(session: Session) -> None:
    """The reports of a run; of several processes the first writes them, and the others wait."""
    if rank() == 0:
        write_reports(session)
    wait_for_all()


def handed_over(
    labeled: Any,
    unlabeled: Any,
    test: Any,
    net: nn.Module | str | None,
    options: dict[str, Any],
    asked: tuple[str, str],
) -> tuple[dict[str, Any], Given]:
    """Options for what a name or a path says, and what cannot be said so; of the algorithm and the recipe
    that are asked for."""
    if isinstance(net, nn.Module):
        module: nn.Module | None = net
        options, trained_size = for_handed_over(net, options)
        if trained_size is not None and not {*SIZING} & options.keys():
            options["image_size"] = fitting_size(trained_size, _side(labeled))
    else:
        module = None
        options |= {} if net is None else {"net": net}
    options = {name: at_home(value) for name, value in options.items()}
    labeled, unlabeled, test = map(at_home, (labeled, unlabeled, test))
    parts = {"labeled": labeled, "unlabeled": unlabeled, "test": test}
    paths = {name: str(value) for name, value in parts.items() if isinstance(value, str | Path)}
    there = {name for name, value in parts.items() if value is not None}
    if paths.keys() == there and not {"weak", "strong", "classes"} & options.keys():
        if Path(paths.get("labeled", "")).suffix in (".csv", ".tsv"):
            paths["table"] = paths.pop("labeled")
        return options | paths, Given(net=module)
    if isinstance(labeled, DataSet):
        known = Given(labeled, _alone(labeled, unlabeled, test, module, options))
        return options | dict.fromkeys(OF_FILES), known
    if labeled is None:
        given = " and ".join(f"`{name}`" for name in sorted(there)) or "what is given"
        raise UserError(f"`labeled` is missing beside {given}: images with labels, some of each class")
    hints = get_type_hints(DataOptions)
    check_kinds(
        options, {name: hints[name] for name in ("image_size", "workers", "cache_images", "memory_gb")}
    )
    if not {*SIZING} & options.keys():
        wanted = defaults_of(asked[0], options, asked[1]).data.image_size  # weights want one
        options |= {"image_size": fitting_size(wanted, _side(labeled))}
    keywords = {name: options.pop(name) for name in FOR_DATA if name in options}
    check_for_data(keywords, options)
    if (memory := options.pop("memory_gb", None)) is not None:
        keywords["memory_budget"] = int(memory * 2**30)
    data = as_dataset(labeled, unlabeled, test, **keywords)
    sizes: dict[str, Any] = {"image_size": data.train.images.shape[1], **dict.fromkeys(OF_FILES)}
    return options | sizes, Given(data, module)


def check_for_data(keywords: dict[str, Any], options: Mapping[str, Any]) -> None:
    """Raise for options of data that are handed over which are of the wrong kind, or of other data.

    Raises:
        ValueError: there is one.
    """
    for name in ("weak", "strong"):
        if keywords.get(name) is not None and not callable(keywords[name]):
            raise UserError(f"{name} must be a transform, got {type(keywords[name]).__name__}")
    for name in OF_FILES:
        if options.get(name) is not None:
            raise UserError(
                f"`{name}` is for images that are read by the path of a folder or a table: those that are "
                "handed over are stored at `image_size`, and so they are seen"
            )
    classes = keywords.get("classes")
    if classes is not None and (isinstance(classes, str) or not isinstance(classes, Sequence)):
        raise UserError(f"classes must be the names of all classes, got {type(classes).__name__}")


def _alone(
    data: DataSet, unlabeled: Any, test: Any, net: nn.Module | None, options: dict[str, Any]
) -> nn.Module | None:
    """The network, for a data set that stands alone.

    Raises:
        ValueError: something stands beside it that it holds itself, or no network is for it.
    """
    beside = {"unlabeled": unlabeled, "test": test}
    beside |= {name: options.get(name) for name in (*FOR_DATA, *OF_FILES)}
    if more := [name for name, value in beside.items() if value is not None]:
        raise UserError(
            f"`{more[0]}` has no effect beside a DataSet, which holds it: give it to what made that"
        )
    if net is None and isinstance(data.augmentation, TensorViews):
        raise UserError(
            f"no network here is for inputs of shape {data.train.images.shape}: give one of yours (`net`)"
        )
    return net


def are_arrays(labeled: Any) -> bool:
    """Whether images are arrays, which have a size of their own."""
    return labeled is None or _side(labeled) is not None


def _side(labeled: Any) -> int | None:
    """Side in pixels of images in arrays, whatever their layout; None of others."""
    images = labeled[0] if isinstance(labeled, tuple | list) and labeled else labeled
    return max(images.shape[1:]) if is_array(images) and images.ndim > 1 else None


def load(
    folder: str | Path, *, device: str = "auto", weights: Any = "last", net: nn.Module | None = None
) -> TrainedRun:
    """What :func:`fit` or ``ssl-mix train`` has trained, from the folder of the run.

    Args:
        folder: of the run.
        device: "auto", "cpu" or "cuda".
        weights: the "last" ones, or those that were "best" on the held-out part.
        net: the network, where ``fit`` was given one that is no name; its weights do not matter.

    Raises:
        ValueError: no run there, no usable checkpoint, or a network of another kind.
    """
    check_kinds({"folder": folder, "device": device}, {"folder": str | Path, "device": str})
    return load_trained(Path(at_home(folder)), device, weights, net=net)
