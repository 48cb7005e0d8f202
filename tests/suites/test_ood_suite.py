"""The suite of images of no class, and choosing among some classes alone."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import roc_auc_score

from ssl_mix.cli.main import main
from ssl_mix.datasets.ahead import FilesAhead
from ssl_mix.errors import UserError
from ssl_mix.runs.answered import answer_test_part
from ssl_mix.runs.predicting import predict
from ssl_mix.runs.trained import load_trained
from ssl_mix.suites import Scene, SuiteOptions, ood


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    folder = tmp_path_factory.mktemp("runs") / "run"
    words = ["--data", "digits", "--labels-per-class", "10", "--steps", "60", "--threads", "1"]
    main(["train", "supervised", *words, "--out", str(folder)])
    return Scene(answer_test_part(load_trained(folder, "cpu")))


@pytest.fixture
def noise(tmp_path: Path) -> Path:
    """Seven colored images of another size, in folders."""
    drawn = np.random.default_rng(0)
    for number in range(7):
        file = tmp_path / "noise" / f"some{number % 2}" / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(drawn.integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(file)
    return tmp_path / "noise"


def of(scene: Scene, named: str | None) -> Scene:
    return replace(scene, options=SuiteOptions(ood=named))


def test_a_folder_is_held_against_the_test_part(scene: Scene, noise: Path) -> None:
    found = ood.measure(of(scene, str(noise)))
    assert (found["images"], found["ood_images"]) == (360, 7)
    outside = predict(scene.answered.trained, [noise]).probabilities.amax(1)
    inside = scene.answered.logits.softmax(1).amax(1)
    expected = roc_auc_score([1] * 360 + [0] * 7, torch.cat((inside, outside)).numpy())
    assert found["scores"]["max_softmax"]["auroc"] == pytest.approx(expected, abs=1e-4)
    assert set(found["scores"]) == {"max_softmax", "max_logit", "energy"}
    for shares in found["histograms"].values():
        assert sum(shares["in"]) == pytest.approx(1) and sum(shares["out"]) == pytest.approx(1)
    said = dict(ood.rows(found))
    assert said["images"].startswith("360 images of the test part, 7 of ") and "FPR95" in said["energy"]
    figure = ood.draw(found)
    assert figure is not None and len(figure.axes) == 3


def test_a_data_set_with_a_name_is_its_test_part(scene: Scene) -> None:
    """Read in the form that the run sees."""
    other = ood.measure(of(scene, "caltech-mini"))
    assert other["ood_images"] > 100 and other["scores"]["energy"]["auroc"] != 0.5


def test_images_of_the_test_part_are_refused(scene: Scene, noise: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="`ood=digits` is what the run learned from"):
        ood.measure(of(scene, "digits"))
    shutil.copy(noise / "some0/0.png", tmp_path / "tested.png")
    tested = FilesAhead([tmp_path / "tested.png"], scene.answered.trained.form)
    both = replace(of(scene, str(noise)), answered=replace(scene.answered, images=tested))
    with pytest.raises(UserError, match="1 of 7 images there is in its test part, .*0.png for one"):
        ood.measure(both)


def test_files_that_cannot_be_read_are_left_out_and_told(scene: Scene, noise: Path) -> None:
    (noise / "some0/broken.png").write_text("no image")
    found = ood.measure(of(scene, str(noise)))
    assert found["ood_images"] == 7 and "broken.png" in dict(ood.rows(found))["note"]


def test_without_images_of_no_class_it_is_said_what_to_give(scene: Scene, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="with `ood=DIR`, or a data set"):
        ood.measure(of(scene, None))
    with pytest.raises(UserError, match="nowhere does not exist"):
        ood.measure(of(scene, "nowhere"))
    (tmp_path / "one").mkdir()
    (tmp_path / "one/broken.png").write_text("no image")
    with pytest.raises(UserError, match="none of the images in .* can be read"):
        ood.measure(of(scene, str(tmp_path / "one")))


def test_among_some_classes_the_others_do_not_count(scene: Scene, noise: Path) -> None:
    """As for ImageNet-A: logits of the 200 classes that have images."""
    answered = scene.answered
    some = (answered.labels == 3) | (answered.labels == 8)
    few = replace(
        answered,
        labels=answered.labels[some],
        logits=answered.logits[some],
        positions=answered.positions[some],
    )
    among = few.among_classes()
    columns = answered.logits[some][:, [3, 8]]
    assert torch.equal(among.logits, columns) and among.classes == ("3", "8")
    right = (columns.argmax(1) == (answered.labels[some] == 8)).double().mean()
    assert among.evaluation().accuracy == pytest.approx(float(right))
    assert among.evaluation().accuracy > few.evaluation().accuracy
    assert Scene(among).logits(next(Scene(among).batches(torch.arange(3)))[0]).shape == (3, 2)
    found = ood.measure(of(Scene(among), str(noise)))
    outside = predict(answered.trained, [noise]).probabilities[:, [3, 8]]
    inside = answered.logits[some].softmax(1)[:, [3, 8]]
    both = torch.cat((inside, outside))
    expected = roc_auc_score([1] * len(inside) + [0] * 7, (both.amax(1) / both.sum(1)).numpy())
    assert found["scores"]["max_softmax"]["auroc"] == pytest.approx(expected, abs=1e-3)
