"""Options that were given and have no effect beside others: each is told, none is dropped in silence."""

from collections.abc import Iterator, Mapping
from typing import Any

from ssl_mix.augment.views import ALTERED, kind_of
from ssl_mix.mixing.terms import MixingTerms
from ssl_mix.runs.data_options import PATHS
from ssl_mix.runs.run import Run

RULED_BY_MIX = tuple(MixingTerms.__dataclass_fields__)


def inert_notes(run: Run, options: Mapping[str, Any]) -> list[str]:
    """A note for each option that has no effect.

    Args:
        run: that they describe.
        options: that were given, by name.
    """
    rules = (*_of_mixing(run), *_of_training(run), *_of_data(run))
    return [f"`{name}` has no effect {why}" for name, why in rules if name in options]


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
        yield "mix_ramp", f"with `mix={mixing.mix}`: only the asymmetric term ramps"
    for name, never in (("mix_prob", 0), ("stop_mixing", 1)):
        if getattr(algorithm, name, None) == never:
            yield "mix", f"with `{name}={never}`: no step mixes"


def _of_training(run: Run) -> Iterator[tuple[str, str]]:
    config = run.config
    if config.optimizer == "adamw":
        yield from ((name, "with `optimizer=adamw`") for name in ("momentum", "nesterov"))
    if config.ema_decay == 0:
        told = "with `ema_decay=0`: the teacher is the student"
        yield from ((name, told) for name in ("ema_buffers", "ema_warmup"))
    if run.net.tune != "head":
        yield "feature_views", f"with `tune={run.net.tune}`: features are computed for `tune=head`"


def _of_data(run: Run) -> Iterator[tuple[str, str]]:
    data, algorithm = run.data, run.algorithm
    views = (*algorithm.labeled_views, *algorithm.unlabeled_views)
    if data.augment not in (None, "randaugment"):
        yield "randaugment", f"with `augment={data.augment}`: leave one of them out"
    elif not any(kind_of(view) in ALTERED for view in views):
        yield "randaugment", f"here: {type(algorithm).__name__} reads no strong views"
    if not algorithm.unlabeled_views:
        yield "include_labeled", f"here: {type(algorithm).__name__} reads no unlabeled images"
    if data.data is None and any(getattr(data, name) is not None for name in PATHS):
        yield "data_dir", "beside images of your own, which have folders of their own"
