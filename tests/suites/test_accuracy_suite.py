"""The suite of accuracies: intervals, and what it is held against."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from ssl_mix.cli.main import main
from ssl_mix.datasets import ImageSource, Split, load_digits_data
from ssl_mix.models import build_model
from ssl_mix.randomness import stream_seed
from ssl_mix.runs.answered import answer_test_part
from ssl_mix.runs.folder import SPLIT
from ssl_mix.runs.trained import load_trained
from ssl_mix.suites import Scene, accuracy
from ssl_mix.transfer.starts import probe

SHORT = ["--steps", "40", "--threads", "1"]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    folder = tmp_path_factory.mktemp("runs") / "run"
    main(["train", "supervised", "--data", "digits", "--labels-per-class", "4", *SHORT, "--out", str(folder)])
    return Scene(answer_test_part(load_trained(folder, "cpu")))


@pytest.fixture(scope="module")
def numbers(scene: Scene) -> dict[str, Any]:
    return accuracy.measure(scene)


def test_every_number_has_an_interval_and_what_it_is_held_against(
    scene: Scene, numbers: dict[str, Any]
) -> None:
    labels = scene.answered.labels
    assert numbers["majority_accuracy"] == max(labels.bincount().tolist()) / 360
    five = scene.answered.logits.topk(5).indices == labels[:, None]
    assert numbers["top_5_accuracy"] == pytest.approx(float(five.any(1).double().mean()))
    for name in ("accuracy", "top_5_accuracy", "mean_class_accuracy", "macro_f1"):
        low, high = numbers["intervals"][name]
        assert low < numbers[name] < high
    for name, (low, high) in numbers["class_intervals"].items():
        assert 0 <= low <= numbers["per_class"][name] <= high <= 1 and low < high
    said = dict(accuracy.rows(numbers))
    assert "of 360 images, 95 % interval" in said["accuracy"]
    assert "of 360 images: the run is" in said["linear probe on the features before training"]
    total = sum(count for _, _, count in numbers["confusion"])
    right = sum(count for true, predicted, count in numbers["confusion"] if true == predicted)
    assert (total, right / total) == (360, pytest.approx(numbers["accuracy"]))


def test_unequal_labels_have_groups_of_classes(scene: Scene, numbers: dict[str, Any], tmp_path: Path) -> None:
    assert "shots" not in numbers and not any("shot" in what for what, _ in accuracy.rows(numbers))
    labels = scene.answered.labels
    tail = ["--labels-per-class", "20", "--imbalance", "20", "--steps", "2"]
    main(["train", "supervised", "--data", "digits", *tail, "--out", str(tmp_path / "tail")])
    answered = replace(scene.answered, trained=load_trained(tmp_path / "tail", "cpu"))
    found = accuracy.measure(replace(scene, answered=answered))
    right = scene.answered.logits.argmax(dim=1) == labels
    recalls = [float(right[labels == label].double().mean()) for label in range(10)]
    assert found["geometric_mean_recall"] == pytest.approx(float(np.prod(recalls)) ** 0.1)
    expected = {"many": recalls[:3], "medium": recalls[3:7], "few": recalls[7:]}
    assert found["shots"] == pytest.approx({name: np.mean(part) for name, part in expected.items()})
    said = dict(accuracy.rows(found))
    assert "3 classes with 10 to 20 labels each" in said["many-shot accuracy"]
    assert "3 classes with 1 label each" in said["few-shot accuracy"]


def test_the_probe_is_that_of_features_of_the_first_weights(scene: Scene, numbers: dict[str, Any]) -> None:
    """Of a network made anew, from the seed of the weights."""
    data, trained = load_digits_data(), scene.answered.trained
    assert data.test is not None
    with torch.random.fork_rng():
        torch.manual_seed(stream_seed(trained.run.config.seed, "weights"))
        net: Any = build_model("small-cnn", 10, channels=1).eval()

    @torch.no_grad()
    def features(images: ImageSource, rows: Tensor) -> Tensor:
        [batch] = images.batches([rows], torch.device("cpu"))
        found: Tensor = net.features(data.of_pixels.normalize(data.of_pixels.plain(batch)))
        return found

    known = torch.tensor(Split.load(trained.folder / SPLIT).labeled)
    head = probe(features(data.train.images, known), data.train.labels[known], 10)
    answers = head(features(data.test.images, torch.arange(360)))
    expected = (answers.argmax(1) == data.test.labels).double().mean()
    assert numbers["probe_accuracy"] == pytest.approx(float(expected), abs=1e-9)
    assert expected > 0.4


def test_a_probe_that_is_known_is_not_fitted_again(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accuracy, "first_probe_accuracy", lambda *_: pytest.fail("it was"))
    known = Scene(replace(scene.answered, probe_accuracy=0.5))
    assert accuracy.measure(known)["probe_accuracy"] == 0.5


def test_without_the_labeled_images_the_other_numbers_are_there(scene: Scene, tmp_path: Path) -> None:
    for number in range(6):
        for part in ("train", "test"):
            file = tmp_path / part / f"class{number % 2}" / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((16, 16, 3), 40 * number, dtype=np.uint8)).save(file)
    words = ["--image-size", "16", "--net", "small-cnn", "--batch-size", "2", *SHORT]
    main(
        [
            "train",
            "supervised",
            "--data-dir",
            str(tmp_path),
            "--data",
            "folder",
            *words,
            "--out",
            f"{tmp_path}/run",
        ]
    )
    trained = load_trained(tmp_path / "run", "cpu")
    first = accuracy.measure(Scene(answer_test_part(trained)))
    assert 0 <= first["probe_accuracy"] <= 1 and "top_5_accuracy" not in first
    (tmp_path / "train/class0/0.png").unlink()
    found = accuracy.measure(Scene(answer_test_part(trained)))
    assert found["probe_accuracy"] is None and "not what they were" in found["no_probe"]
    assert "not known: the images that" in accuracy.rows(found)[-1][1]
    assert found["accuracy"] == first["accuracy"]


def test_confusions_are_drawn_for_few_classes_and_many(numbers: dict[str, Any], tmp_path: Path) -> None:
    few = accuracy.draw(numbers)
    assert few is not None and {text.get_text() for text in few.axes[0].texts} >= {
        str(numbers["confusion"][0][2])
    }
    many = {f"class {number}": 1.0 for number in range(1000)}
    cells = [[number, number, 2] for number in range(1000)]
    found = accuracy.draw({**numbers, "per_class": many, "confusion": cells})
    assert found is not None and found.axes[0].images[0].get_array().shape == (1000, 1000)  # type: ignore[union-attr]
    found.savefig(tmp_path / "many.png")


def test_a_test_folder_of_some_classes_is_scored_among_them_when_asked(
    scene: Scene, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answered, folder = scene.answered, scene.answered.trained.folder
    rows = ((answered.labels == 3) | (answered.labels == 8)).nonzero()[:, 0]
    [images] = answered.images.batches([rows], torch.device("cpu"))
    for row, image in zip(rows.tolist(), images, strict=True):
        file = tmp_path / str(int(answered.labels[row])) / f"{row}.png"
        file.parent.mkdir(exist_ok=True)
        Image.fromarray(image[0].numpy()).save(file)
    found = {}
    for words in ((), ("--among-classes",)):
        capsys.readouterr()
        main(
            [
                "evaluate",
                str(folder),
                "--test",
                str(tmp_path),
                "--suite",
                "accuracy,calibration",
                *words,
                "--json",
            ]
        )
        found[bool(words)] = json.loads(capsys.readouterr().out)
    assert list(found[True]["class_images"]) == ["3", "8"] and len(found[False]["class_images"]) == 10
    right = answered.logits[rows][:, [3, 8]].argmax(1) == (answered.labels[rows] == 8)
    assert found[True]["accuracy"] == pytest.approx(float(right.double().mean()))
    assert found[False]["accuracy"] == pytest.approx(
        float((answered.logits[rows].argmax(1) == answered.labels[rows]).double().mean())
    )
    assert found[True]["accuracy"] > found[False]["accuracy"]
    assert found[True]["probe_accuracy"] > found[False]["probe_accuracy"] > 0
    assert "top_5_accuracy" not in found[True] and found[True]["calibration"]["images"] == len(rows)


def test_very_long_names_leave_room_for_the_picture(numbers: dict[str, Any], tmp_path: Path) -> None:
    per_class = {
        f"{place} {'very long ' * 20}": value for place, value in enumerate(numbers["per_class"].values())
    }
    figure = accuracy.draw({**numbers, "per_class": per_class})
    assert figure is not None
    figure.savefig(tmp_path / "long.png")  # a warning of a figure without room would be an error
    assert all(len(label.get_text()) <= 30 for label in figure.axes[0].get_yticklabels())
