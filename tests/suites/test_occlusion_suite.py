"""The suite of dropped and shuffled patches."""

from dataclasses import replace

import pytest
import torch
from robust_scene import digits_scene

from ssl_mix.evaluation import patch_drop, patch_shuffle
from ssl_mix.randomness import stream_generator
from ssl_mix.suites import Scene, SuiteOptions, occlusion


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    made = digits_scene(tmp_path_factory.mktemp("runs") / "digits")
    return replace(made, options=SuiteOptions(limit=150, suite_seed=2))


def test_nothing_dropped_is_the_accuracy_and_everything_leaves_chance(scene: Scene) -> None:
    found = occlusion.measure(scene)
    rows = scene.sample()
    labels = scene.answered.labels[rows]
    plain = float((scene.answered.logits[rows].argmax(1) == labels).double().mean())
    black = int(scene.logits(torch.zeros(1, 1, 8, 8, dtype=torch.uint8)).argmax())
    for values in found["dropped"].values():
        assert values[0] == pytest.approx(plain)
        assert values[-1] == pytest.approx(float((labels == black).double().mean()))
        assert values[-1] <= found["chance"] < plain
    assert found["shuffled"][0] == pytest.approx(plain) and min(found["shuffled"]) < plain
    assert found["chance"] == pytest.approx(float(labels.bincount().max() / 150))
    assert occlusion.measure(scene) == found


def test_the_numbers_are_those_of_changed_images(scene: Scene) -> None:
    found = occlusion.measure(scene)
    images, labels = (torch.cat(part) for part in zip(*scene.batches(scene.sample()), strict=True))
    for order in ("random", "salient", "nonsalient", "center"):
        draws = stream_generator(2, f"dropping and shuffling patches/{(order, 0.3)}")
        changed = patch_drop(images, 0.3, found["grid"], order=order, generator=draws)
        right = float((scene.logits(changed).argmax(1) == labels).double().mean())
        assert found["dropped"][order][3] == pytest.approx(right)
    draws = stream_generator(2, f"dropping and shuffling patches/{('random in 4', 0.3)}")
    changed = patch_drop(images, 0.3, 4, generator=draws)
    right = float((scene.logits(changed).argmax(1) == labels).double().mean())
    assert list(found["coarser"]) == [2, 4] and found["coarser"][4][3] == pytest.approx(right)
    draws = stream_generator(2, f"dropping and shuffling patches/{('shuffle', 4)}")
    right = float((scene.logits(patch_shuffle(images, 4, draws)).argmax(1) == labels).double().mean())
    assert found["grids"] == [1, 2, 4, 8] and found["shuffled"][2] == pytest.approx(right)


def test_rows_and_picture(scene: Scene) -> None:
    found = occlusion.measure(scene)
    said = dict(occlusion.rows(found))
    assert said["images"] == "150 of 360 test images, drawn at random"
    assert "on average from 0 to 90 %" in said["8 x 8 patches dropped at random"]
    assert "on average from 0 to 90 %" in said["4 x 4 patches dropped at random"]
    mean = sum(found["dropped"]["salient"][:10]) / 10
    words = said["8 x 8 patches dropped the most salient first (foreground)"]
    assert f"{100 * mean:.1f} % on average" in words
    assert said["pieces in a random order"].count(" in ") == 4
    figure = occlusion.draw(found)
    assert figure is not None and len(figure.axes) == 2 and len(figure.axes[0].lines) == 7
