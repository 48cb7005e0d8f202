"""What is refused before an image is read."""

import pytest

from ssl_mix import UserError
from ssl_mix.recipes.build import build_run
from ssl_mix.runs import memory
from ssl_mix.runs.prepared import prepare


def test_a_step_that_does_not_fit_is_refused_before_minutes_of_reading(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda device: 2**30)
    options = {"train": "nowhere", "image_size": 2000, "net": "small-cnn", "batch_size": 64}
    with pytest.raises(UserError, match=r"64 images at 2000x2000 pixels needs .* `image_size` \d+ would fit"):
        prepare(build_run("supervised", options).run)
    with pytest.raises(UserError, match="expected a folder of images at .*nowhere, found nothing"):
        prepare(build_run("supervised", {**options, "image_size": 32}).run)


def test_statistics_of_random_weights_are_not_frozen() -> None:
    options = {"data": "digits", "net": "small-cnn", "norms": "frozen"}
    with pytest.raises(UserError, match="`norms=frozen` keeps .* random weights have none: leave it out"):
        build_run("supervised", options)
    assert build_run("supervised", {**options, "norms": "training"}).run.net.norms == "training"
