"""Options that were given and have no effect beside others: none is dropped in silence.

One that another option switches off is refused, as one that the algorithm does not have is. One of the data
that the algorithm does not read is told: several algorithms are compared on the same data.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from ssl_mix.augment.views import ALTERED, kind_of
from ssl_mix.errors import UserError
from ssl_mix.mixing.terms import MixingTerms
from ssl_mix.runs.data_options import PATHS
from ssl_mix.runs.run import Run

RULED_BY_MIX = tuple(MixingTerms.__dataclass_fields__)


def check_effects(run: Run, options: Mapping[str, Any]) -> None:
    """Raise for an option that another one leaves without effect.

    Args:
        run: that they describe.
        options: that were given, by name.

    Raises:
        ValueError: there is one.
    """
    for name, why in (*_of_mixing(run), *_of_training(run), *_of_images(run)):
        if name in options:
            remedy = ", or" if ":" in why else ":"
            raise UserError(f"`{name}` has no effect {why}{remedy} leave out `{name}`")


def inert_notes(run: Run, options: Mapping[str, Any]) -> list[str]:
    """A note for each option of the data that the algorithm does not read.

    Args:
        run: that they describe.
        options: that were given, by name.
    """
    return [f"`{name}` has no effect here: {why}" for name, why in _unread(run) if name in options]


def _of_mixing(run: Run) -> Iterator[tuple[str, str]]:
    algorithm: Any = run.algorithm
    mixing = getattr(algorithm, "mixing", None)
    if mixing is None:
        return
    if mixing.mix == "none":
        yield from (
            (name, "with `mix=none`: choose mixup, dm, as or dm-as") for name in RULED_BY_MIX if name != "mix"
        )
        return
    if mixing.mix == "mixup":
        yield "eta", "with `mix=mixup`, which has no decoupled term: choose dm"
    if mixing.mix in ("mixup", "dm"):
        yield "mix_ramp", f"with `mix={mixing.mix}`: only the asymmetric term ramps, choose as or dm-as"
    for name, never in (("mix_prob", 0), ("stop_mixing", 1)):
        if getattr(algorithm, name, None) == never:
            yield "mix", f"with `{name}={never}`, by which no step mixes"


def _of_training(run: Run) -> Iterator[tuple[str, str]]:
    config = run.config
    if config.optimizer != "sgd":
        yield "nesterov", f"with `optimizer={config.optimizer}`"
    if config.optimizer == "adamw":
        yield "momentum", "with `optimizer=adamw`"
    if not config.warmup_steps:
        yield "warmup_lr", "with `warmup_steps=0`"
    if config.ema_decay == 0:
        told = "with `ema_decay=0`, by which the teacher is the student"
        yield from ((name, told) for name in ("ema_buffers", "ema_warmup"))
    if run.net.tune != "head":
        yield "feature_views", f"with `tune={run.net.tune}`: features are computed for `tune=head`"


def _of_images(run: Run) -> Iterator[tuple[str, str]]:
    data = run.data
    if data.augment not in (None, "randaugment"):
        yield "randaugment", f"with `augment={data.augment}`: choose `augment=randaugment`"
    if data.data is None and any(getattr(data, name) is not None for name in PATHS):
        yield "data_dir", "beside images of your own, which have folders of their own"


def _unread(run: Run) -> Iterator[tuple[str, str]]:
    algorithm = run.algorithm
    name = type(algorithm).__name__
    views = (*algorithm.labeled_views, *algorithm.unlabeled_views)
    if not any(kind_of(view) in ALTERED for view in views):
        yield "randaugment", f"{name} reads no strong views"
    if not algorithm.unlabeled_views:
        yield "include_labeled", f"{name} reads no unlabeled images"
