"""An option that another one leaves without effect is refused; one of the data that is not read is told."""

from typing import Any

import pytest

from ssl_mix.errors import UserError
from ssl_mix.recipes.build import build_run


@pytest.mark.parametrize(
    ("algorithm", "options", "refused"),
    [
        ("fixmatch", {"augment": "augmix", "randaugment": "google"}, "`randaugment` has no effect with"),
        ("supervised", {"mix": "mixup", "mix_prob": 0.0}, "`mix` has no effect with `mix_prob=0`"),
        ("supervised", {"mix": "mixup", "stop_mixing": 1.0}, "`mix` has no effect with `stop_mixing=1`"),
        ("fixmatch", {"mix_alpha": 0.2}, "`mix_alpha` has no effect with `mix=none`: choose mixup, dm, as"),
        ("fixmatch", {"mix": "mixup", "eta": 0.5}, "`eta` has no effect with `mix=mixup`"),
        ("fixmatch", {"mix": "dm", "mix_ramp": "none"}, "`mix_ramp` has no effect with `mix=dm`"),
        ("fixmatch", {"optimizer": "adamw", "momentum": 0.5}, "`momentum` has no effect with `optimizer"),
        ("fixmatch", {"optimizer": "lamb", "nesterov": False}, "`nesterov` has no effect with `optimizer"),
        ("fixmatch", {"warmup_lr": 0.1}, "`warmup_lr` has no effect with `warmup_steps=0`"),
        ("fixmatch", {"ema_decay": 0.0, "ema_buffers": "average"}, "`ema_buffers` has no effect with"),
        ("fixmatch", {"feature_views": 3}, "`feature_views` has no effect with `tune=all`"),
        ("fixmatch", {"labeled": "x", "data_dir": "y"}, "`data_dir` has no effect beside"),
    ],
)
def test_is_refused(algorithm: str, options: dict[str, Any], refused: str) -> None:
    with pytest.raises(UserError, match=f"^{refused}.* leave out `"):
        build_run(algorithm, options)


@pytest.mark.parametrize("options", [{"randaugment": "google"}, {"include_labeled": True}])
def test_what_an_algorithm_does_not_read_is_told(options: dict[str, Any]) -> None:
    (note,) = build_run("supervised", options).notes
    assert note.startswith(f"`{next(iter(options))}` has no effect here: Supervised reads no ")


def test_what_has_an_effect_is_neither() -> None:
    options = {"mix": "dm-as", "mix_ramp": "none", "eta": 0.5, "momentum": 0.5, "randaugment": "google"}
    assert not build_run("fixmatch", options).notes
