"""The suite of calibration: what the temperature is fitted to, what is reported, and what predictions make of
it."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

import ssl_mix
from ssl_mix.cli.main import main
from ssl_mix.datasets import Split, load_digits_data
from ssl_mix.errors import UserError
from ssl_mix.evaluation import expected_calibration_error, fit_temperature, predict_logits
from ssl_mix.runs.answered import answer_test_part
from ssl_mix.runs.folder import SPLIT
from ssl_mix.runs.temperature import CALIBRATION
from ssl_mix.runs.trained import load_trained
from ssl_mix.suites import Scene, SuiteOptions, calibration


def train(folder: Path, *words: str) -> Path:
    main(
        ["train", "supervised", "--data", "digits", "--labels-per-class", "10", "--steps", "60"]
        + ["--threads", "1", *words, "--out", str(folder)]
    )
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture(scope="module")
def scene(run: Path) -> Scene:
    return Scene(answer_test_part(load_trained(run, "cpu")))


@pytest.fixture(scope="module")
def numbers(scene: Scene) -> dict[str, Any]:
    return calibration.measure(scene)


def test_half_of_the_test_part_is_fitted_to_and_the_other_is_reported(
    scene: Scene, numbers: dict[str, Any]
) -> None:
    logits, labels = scene.answered.logits.double(), scene.answered.labels
    order = torch.randperm(360, generator=torch.Generator().manual_seed(0))
    temperature = fit_temperature(logits[order[:180]], labels[order[:180]]).value
    rest = order[180:]
    assert numbers["temperature"] == pytest.approx(temperature, rel=1e-6) and numbers["scaled_images"] == 180
    for name, by in (("before", 1.0), ("after", temperature)):
        expected = expected_calibration_error((logits[rest] / by).softmax(1), labels[rest])
        assert numbers[name]["ece"] == pytest.approx(expected, abs=1e-9)
    assert numbers["ece"] == pytest.approx(expected_calibration_error(logits.softmax(1), labels), abs=1e-9)
    said = dict(calibration.rows(numbers))
    assert "fitted to 180 images drawn from the test part" in said["temperature"]
    assert "after scaling, of the other 180 images" in said["AURRA"]
    other = calibration.measure(replace(scene, options=SuiteOptions(suite_seed=1)))
    assert other["temperature"] != numbers["temperature"]
    calibration.measure(scene)


def test_the_part_that_was_held_out_is_fitted_to_where_there_is_one(tmp_path: Path) -> None:
    trained = load_trained(train(tmp_path / "run", "--validation", "0.3"), "cpu")
    found = calibration.measure(Scene(answer_test_part(trained)))
    data = load_digits_data()
    held_out = torch.tensor(Split.load(trained.folder / SPLIT).validation)
    assert len(held_out) == 30
    logits = predict_logits(
        trained.net, data.train.images, trained.augmentation, torch.device("cpu"), indices=held_out
    )
    expected = fit_temperature(logits, data.train.labels[held_out])
    assert found["temperature"] == pytest.approx(expected.value, rel=1e-6)
    assert found["fitted_on"] == "the 30 images that --validation held out"
    assert found["scaled_images"] == 360 and found["before"]["ece"] == found["ece"]


def test_predictions_are_divided_by_it_and_their_classes_stay(
    run: Path, numbers: dict[str, Any], tmp_path: Path
) -> None:
    trained = ssl_mix.load(run, device="cpu")
    data = load_digits_data()
    assert data.test is not None
    [images] = data.test.images.batches([torch.arange(50)], torch.device("cpu"))
    logits = answer_test_part(load_trained(run, "cpu")).logits[:50]
    found = trained.predict_proba(images, calibrated=True)
    expected = (logits / numbers["temperature"]).softmax(1)
    assert found == pytest.approx(expected.numpy(), abs=1e-6)
    plain = trained.predict_proba(images)
    assert (found.argmax(1) == plain.argmax(1)).all() and abs(found - plain).max() > 1e-4

    Image.fromarray(images[0, 0].numpy()).save(tmp_path / "digit.png")
    for name, words in (("plain", []), ("calibrated", ["--calibrated"])):
        main(["predict", str(run), str(tmp_path / "digit.png"), "--out", str(tmp_path / name), *words])
    rows = {
        name: next(csv.DictReader((tmp_path / name).read_text().splitlines()))
        for name in ("plain", "calibrated")
    }
    assert float(rows["calibrated"]["confidence"]) == pytest.approx(float(found[0].max()), abs=2e-6)
    assert float(rows["plain"]["confidence"]) == pytest.approx(float(plain[0].max()), abs=2e-6)


def test_where_no_temperature_fits_the_weights_it_is_said(tmp_path: Path) -> None:
    folder = train(tmp_path / "run")
    images = torch.zeros(1, 1, 8, 8, dtype=torch.uint8)
    trained = load_trained(folder, "cpu")
    with pytest.raises(
        UserError, match="has no temperature .*: fit one with ssl-mix evaluate .* calibration"
    ):
        trained.predict_proba(images, calibrated=True)
    kept = {"temperature": 2.0, "note": "", "step": 59, "fitted_on": "3 images"}
    (folder / CALIBRATION).write_text(json.dumps(kept))
    with pytest.raises(UserError, match="after step 59, these are of step 60"):
        trained.predict_proba(images, calibrated=True)
    (folder / CALIBRATION).write_text("{")
    with pytest.raises(UserError, match="calibration.json is damaged"):
        trained.predict_proba(images, calibrated=True)


def test_a_temperature_without_a_minimum_is_told_and_not_used(scene: Scene, run: Path) -> None:
    answered = scene.answered
    perfect = Scene(replace(answered, labels=answered.logits.argmax(1)))
    found = calibration.measure(perfect)
    assert "each of 180 images is right" in dict(calibration.rows(found))["no temperature is best"]
    with pytest.raises(UserError, match="no temperature .*: each of 180 images is right"):
        answered.trained.predict_proba(torch.zeros(1, 1, 8, 8, dtype=torch.uint8), calibrated=True)
    json.dumps(found, allow_nan=False)
    calibration.measure(scene)


def test_what_predictions_are_not_made_of_is_not_kept(scene: Scene, run: Path) -> None:
    before = (run / CALIBRATION).read_bytes()
    calibration.measure(Scene(replace(scene.answered, crops="ten", labels=scene.answered.logits.argmax(1))))
    assert (run / CALIBRATION).read_bytes() == before


def test_one_image_is_too_few(scene: Scene) -> None:
    answered = scene.answered
    one = replace(answered, labels=answered.labels[:1], logits=answered.logits[:1])
    with pytest.raises(UserError, match="only one image"):
        calibration.measure(Scene(one))


def test_both_diagrams_are_drawn(numbers: dict[str, Any]) -> None:
    figure = calibration.draw(numbers)
    assert figure is not None
    titles = [axes.get_title() for axes in figure.axes]
    assert titles[0].startswith("as it is: ECE") and titles[1].startswith("divided by")
    heights = [bar.get_height() for bar in figure.axes[0].containers[0]]  # type: ignore[attr-defined]
    assert heights == pytest.approx(numbers["before"]["bins"]["accuracy"], abs=1e-6)


def test_an_exported_network_has_no_temperature(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "net.onnx").write_bytes(b"")
    with pytest.raises(SystemExit) as stopped:
        main(["predict", f"{tmp_path}/net.onnx", "x.png", "--out", f"{tmp_path}/out.csv", "--calibrated"])
    assert stopped.value.code == 2 and "--calibrated is for runs" in capsys.readouterr().err.replace(
        "\n", " "
    )
