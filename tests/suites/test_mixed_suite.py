"""The suite of mixed images."""

from dataclasses import replace

import pytest
import torch
from robust_scene import digits_scene

from ssl_mix.errors import UserError
from ssl_mix.randomness import stream_generator
from ssl_mix.suites import Scene, SuiteOptions, mixed
from ssl_mix.suites.mixed import partners_of


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return digits_scene(tmp_path_factory.mktemp("runs") / "digits")


def of(scene: Scene, mixer: str, limit: int = 100) -> Scene:
    return replace(scene, options=SuiteOptions(limit=limit, mixed_mixer=mixer))


def test_partners_are_drawn_evenly_among_all_of_other_classes() -> None:
    labels = torch.tensor([2, 0, 2, 5, 0, 2, 7])
    rows = torch.tensor([0, 1, 2, 3, 5])
    draws, seen = stream_generator(0, "test"), torch.zeros(7, 7)
    for _ in range(3000):
        partners = partners_of(labels, rows, draws)
        assert (labels[partners] != labels[rows]).all() and torch.isin(partners, rows).all()
        seen[rows, partners] += 1
    for row in rows.tolist():
        others = [other for other in rows.tolist() if labels[other] != labels[row]]
        assert seen[row, others].div(3000).sub(1 / len(others)).abs().max() < 0.05
    with pytest.raises(UserError, match="have one"):
        partners_of(labels, torch.tensor([0, 2]), draws)


def test_the_middle_of_two_images_by_hand(digits: Scene) -> None:
    scene = of(digits, "mixup")
    found = mixed.measure(scene)
    rows, labels = scene.sample(), scene.answered.labels
    partners = partners_of(labels, rows, stream_generator(0, "mixed"))
    a, b = (torch.cat([images for images, _ in scene.batches(chosen)]) for chosen in (rows, partners))
    trained = scene.answered.trained
    for place, lam in ((0, 0.0), (3, 0.3), (10, 1.0)):
        pictures = lam * trained.augmentation.normalize(a) + (1 - lam) * trained.augmentation.normalize(b)
        with torch.inference_mode():
            logits = trained.net(pictures)
        two = logits.topk(2, dim=1).indices.tolist()
        pairs = list(zip(labels[rows].tolist(), labels[partners].tolist(), strict=True))
        top1 = sum(first in pair for (first, _), pair in zip(two, pairs, strict=True))
        top2 = sum(set(found) == set(pair) for found, pair in zip(two, pairs, strict=True))
        assert found["top1"][place] == pytest.approx(top1 / 100)
        assert found["top2"][place] == pytest.approx(top2 / 100)
        assert found["confidence"][place] == pytest.approx(float(logits.softmax(1).amax(1).mean()), rel=1e-4)
        assert found["lam"][place] == pytest.approx(lam)
    assert found["equivariance_error"][0] == pytest.approx(0, abs=1e-4)
    assert found["equivariance_error"][10] == pytest.approx(0, abs=1e-4)
    assert found["equivariance_error"][5] > 0.05
    assert found["probability_a"] == sorted(found["probability_a"])


def test_shares_of_clipped_boxes_are_the_true_ones_and_a_mixer_may_need_saliency(digits: Scene) -> None:
    found = mixed.measure(of(digits, "cutmix"))
    assert found["lam"][5] > 0.5 and found["images"] == 100
    needy = mixed.measure(of(digits, "puzzlemix", limit=20))
    assert len(needy["top1"]) == 11
    for name, told in (("manifoldmix", "mixes hidden layers"), ("automix", "learns to mix")):
        with pytest.raises(UserError, match=told):
            mixed.measure(of(digits, name))


def test_rows_and_picture(digits: Scene) -> None:
    found = mixed.measure(of(digits, "mixup"))
    said = dict(mixed.rows(found))
    assert (
        said["images"]
        == "100 of 360 test images, drawn at random, each mixed by mixup with one of another class"
    )
    assert said["Top-2, both classes are the two likeliest"].startswith(
        f"{100 * found['top2'][5]:.1f} % at lam 0.5"
    )
    figure = mixed.draw(found)
    assert figure is not None and len(figure.axes) == 3
