"""The suite of corruptions: made ones, and the published files of CIFAR."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from robust_scene import digits_scene, files_scene, write_squares

from ssl_mix.errors import UserError
from ssl_mix.evaluation import CORRUPTIONS, corrupt
from ssl_mix.randomness import stream_generator
from ssl_mix.suites import Scene, SuiteOptions, corruption
from ssl_mix.suites.cifar_files import CIFAR10, CIFAR100


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return digits_scene(tmp_path_factory.mktemp("runs") / "digits")


@pytest.fixture(scope="module")
def cifar(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """A run with the classes of CIFAR-10, in folders."""
    folder = tmp_path_factory.mktemp("cifar")
    write_squares(folder, tuple(CIFAR10.split()), 2, 32)
    return files_scene(folder, folder / "run", "--net", "small-cnn", "--steps", "60", "--batch-size", "20")


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
    assert found["mean_error"] == pytest.approx(sum(every) / 75) and found["mean_error"] > clean
    assert corruption.measure(scene) == found
    said = dict(corruption.rows(found))
    assert "70 of 360 test images" in said["error without corruption"]
    assert "points above" in said["mean corruption error (mCE), 15 kinds at 5 severities"]
    assert "by severity" in said["error, jpeg compression"]
    figure = corruption.draw(found)
    assert figure is not None and len(figure.axes[0].texts) == 15 * 6


def test_the_error_as_a_share_of_that_of_alexnet_is_told_for_imagenet_alone(digits: Scene) -> None:
    found = corruption.measure(options(digits, limit=5))
    assert "mce" not in found
    told = dict(corruption.rows({**found, "mce": 0.7}))
    assert told["the same as a share of AlexNet's errors"] == "70.00 %"


def write_cifar_c(scene: Scene, folder: Path, *, wrong_from: int) -> None:
    """Files of the published layout: images right up to a severity, and of the next class from it on."""
    classes = CIFAR10.split()
    files = [Path(file) for file in scene.answered.images.files]  # type: ignore[attr-defined]
    images = np.stack([np.asarray(Image.open(file)) for file in files])
    answers = scene.answered.logits.argmax(1)
    names = [scene.answered.classes[answer] for answer in answers.tolist()]
    right = np.array([classes.index(name) for name in names])
    told = [right if severity < wrong_from else (right + 1) % 10 for severity in range(5)]
    folder.mkdir()
    np.save(folder / "labels.npy", np.concatenate(told).astype(np.uint8))
    for kind in CORRUPTIONS:
        np.save(folder / f"{kind}.npy", np.concatenate([images] * 5))


def test_published_files_are_read_by_severity_and_by_name_of_class(cifar: Scene, tmp_path: Path) -> None:
    write_cifar_c(cifar, tmp_path / "c", wrong_from=3)
    found = corruption.measure(options(cifar, corruptions_dir=str(tmp_path / "c")))
    assert found["errors"] == {kind: [0, 0, 0, 1, 1] for kind in CORRUPTIONS}
    assert (found["mean_error"], found["images"]) == (pytest.approx(0.4), 20)
    words = dict(corruption.rows(found))["mean corruption error (mCE), 15 kinds at 5 severities"]
    assert words.endswith(f"files in {tmp_path / 'c'}")
    few = corruption.measure(options(cifar, corruptions_dir=str(tmp_path / "c"), limit=6))
    assert few["images"] == 6 and few["errors"]["fog"] == [0, 0, 0, 1, 1]


def test_other_sets_of_the_same_classes(cifar: Scene, tmp_path: Path) -> None:
    write_cifar_c(cifar, tmp_path / "c", wrong_from=2)
    images, labels = np.load(tmp_path / "c/fog.npy"), np.load(tmp_path / "c/labels.npy")
    np.save(tmp_path / "cifar10.1_v6_data.npy", images[:20])
    np.save(tmp_path / "cifar10.1_v6_labels.npy", labels[:20].astype(np.int32))
    names = np.array(CIFAR10.split(), dtype=object)  # pickled in the published file, and never read
    np.savez(
        tmp_path / "cifar102_test.npz",
        images=images[30:50],
        labels=labels[30:50].astype(int),
        label_names=names,
    )
    found = corruption.measure(options(cifar, shift_dir=str(tmp_path), limit=4))["shifted"]
    assert found == {
        "CIFAR-10.1": {"images": 20, "error": 0.0},
        "CIFAR-10.2": {"images": 20, "error": 0.5},
    }
    told = dict(corruption.rows({**corruption.measure(options(cifar, limit=4)), "shifted": found}))
    assert told["error on CIFAR-10.2"] == "50.00 % of 20 images"


def test_what_the_files_lack_is_said(cifar: Scene, digits: Scene, tmp_path: Path) -> None:
    write_cifar_c(cifar, tmp_path / "c", wrong_from=3)
    given = {"corruptions_dir": str(tmp_path / "c")}
    with pytest.raises(UserError, match="the classes of CIFAR-10 or CIFAR-100"):
        corruption.measure(options(digits, **given))
    np.save(tmp_path / "c/snow.npy", np.zeros((100, 3, 32, 32), dtype=np.uint8))
    with pytest.raises(UserError, match=r"snow.npy: expected images \(N, 32, 32, 3\)"):
        corruption.measure(options(cifar, **given))
    (tmp_path / "c/snow.npy").write_bytes(b"no array")
    with pytest.raises(UserError, match="snow.npy cannot be read"):
        corruption.measure(options(cifar, **given))
    (tmp_path / "c/snow.npy").unlink()
    with pytest.raises(UserError, match="found no snow.npy"):
        corruption.measure(options(cifar, **given))
    with pytest.raises(UserError, match=r"expected one of .*cifar102_test.npz, found none"):
        corruption.measure(options(cifar, shift_dir=str(tmp_path / "c")))
    np.save(tmp_path / "c/labels.npy", np.full(100, 200))
    np.save(tmp_path / "c/snow.npy", np.zeros((100, 32, 32, 3), dtype=np.uint8))
    with pytest.raises(UserError, match="expected labels from 0 to 9"):
        corruption.measure(options(cifar, **given))


def test_the_names_of_classes_are_those_of_cifar() -> None:
    for names, count in ((CIFAR10.split(), 10), (CIFAR100.split(), 100)):
        assert names == sorted(set(names)) and len(names) == count
