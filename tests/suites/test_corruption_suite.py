"""The suite of corruptions."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from robust_scene import digits_scene

from ssl_mix.evaluation import corrupt
from ssl_mix.randomness import stream_generator
from ssl_mix.suites import Scene, SuiteOptions, corruption


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return digits_scene(tmp_path_factory.mktemp("runs") / "digits")


def options(scene: Scene, **given: Any) -> Scene:
    return replace(scene, options=SuiteOptions(**given))


def test_errors_are_those_of_corrupted_images_whatever_the_batches(digits: Scene) -> None:
    scene = options(digits, limit=70, suite_seed=3)
    found = corruption.measure(scene)
    [(images, labels)] = [
        (torch.cat(a), torch.cat(b)) for a, b in [zip(*scene.batches(scene.sample()), strict=True)]
    ]
    assert (found["images"], found["of"], found["made_with"]) == (70, 360, "CIFAR-C")
    for kind, severity in (("gaussian_noise", 1), ("glass_blur", 4), ("contrast", 5)):
        draws = stream_generator(3, f"corrupting images/{(kind, severity)}")
        answers = scene.logits(corrupt(images, kind, severity, draws)).argmax(1)
        wrong = float((answers != labels).double().mean())
        assert found["errors"][kind][severity - 1] == pytest.approx(wrong)
    clean = float((scene.logits(images).argmax(1) != labels).double().mean())
    assert found["clean_error"] == pytest.approx(clean)
    every = [error for errors in found["errors"].values() for error in errors]
    assert (
        found["mean_corruption_error"] == pytest.approx(sum(every) / 75)
        and found["mean_corruption_error"] > clean
    )
    assert corruption.measure(scene) == found
    said = dict(corruption.rows(found))
    assert "70 of 360 test images" in said["error without corruption"]
    assert "points above" in said["mean corruption error (mCE), 15 kinds at 5 severities"]
    assert "by severity" in said["error, jpeg compression"]
    figure = corruption.draw(found)
    assert figure is not None and len(figure.axes[0].texts) == 15 * 6


def test_the_error_as_a_share_of_that_of_alexnet_is_told_for_imagenet_alone(digits: Scene) -> None:
    found = corruption.measure(options(digits, limit=5))
    assert "as_share_of_alexnet" not in found
    told = dict(corruption.rows({**found, "as_share_of_alexnet": 0.7}))
    assert told["the same as a share of AlexNet's errors"] == "70.00 %"
