"""An option that has no effect beside another is told."""

from typing import Any

import pytest

from ssl_mix.recipes.build import build_run


@pytest.mark.parametrize(
    ("algorithm", "options", "told"),
    [
        ("fixmatch", {"augment": "augmix", "randaugment": "google"}, "`randaugment` has no effect with"),
        ("supervised", {"randaugment": "google"}, "`randaugment` has no effect here: Supervised"),
        ("supervised", {"mix": "mixup", "mix_prob": 0.0}, "`mix` has no effect with `mix_prob=0`"),
        ("supervised", {"mix": "mixup", "stop_mixing": 1.0}, "`mix` has no effect with `stop_mixing=1`"),
        ("fixmatch", {"mix": "mixup", "eta": 0.5}, "`eta` has no effect with `mix=mixup`"),
        ("fixmatch", {"mix": "dm", "mix_ramp": "none"}, "`mix_ramp` has no effect with `mix=dm`"),
        ("fixmatch", {"optimizer": "adamw", "momentum": 0.5}, "`momentum` has no effect with `optimizer"),
        ("fixmatch", {"ema_decay": 0.0, "ema_buffers": "average"}, "`ema_buffers` has no effect with"),
        ("fixmatch", {"feature_views": 3}, "`feature_views` has no effect with `tune=all`"),
        ("supervised", {"include_labeled": True}, "`include_labeled` has no effect here"),
        ("fixmatch", {"labeled": "x", "data_dir": "y"}, "`data_dir` has no effect beside"),
    ],
)
def test_is_told(algorithm: str, options: dict[str, Any], told: str) -> None:
    notes = [note for note in build_run(algorithm, options).notes if "no effect" in note]
    assert len(notes) == 1 and notes[0].startswith(told)


def test_what_has_an_effect_is_not() -> None:
    options = {"mix": "dm-as", "mix_ramp": "none", "eta": 0.5, "momentum": 0.5, "randaugment": "google"}
    assert not build_run("fixmatch", options).notes
