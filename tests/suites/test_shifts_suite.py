"""The suite of the published files of CIFAR-C, CIFAR-10.1 and CIFAR-10.2, on made files of their layouts."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from robust_scene import digits_scene, files_scene, write_squares

from ssl_mix.errors import UserError
from ssl_mix.evaluation import CORRUPTIONS
from ssl_mix.suites import Scene, SuiteOptions, shifts
from ssl_mix.suites.shifts import CIFAR10, CIFAR100


@pytest.fixture(scope="module")
def cifar(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """A run with the classes of CIFAR-10, in folders."""
    folder = tmp_path_factory.mktemp("cifar")
    write_squares(folder, tuple(CIFAR10.split()), 2, 32)
    return files_scene(folder, folder / "run", "--net", "small-cnn", "--steps", "60", "--batch-size", "20")


def of(scene: Scene, folder: Path, limit: int = 1000) -> Scene:
    return replace(scene, options=SuiteOptions(shifted=str(folder), limit=limit))


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
    found = shifts.measure(of(cifar, tmp_path / "c"))
    wanted = [{"images": 20, "error": error} for error in (0, 0, 0, 1, 1)]
    assert found["corrupted"] == dict.fromkeys(CORRUPTIONS, wanted) and found["anew"] == {}
    assert found["mean_corruption_error"] == pytest.approx(0.4)
    wrong = cifar.answered.logits.argmax(1) != cifar.answered.labels
    assert found["error"] == pytest.approx(float(wrong.double().mean()))
    said = dict(shifts.rows(found))
    assert said["mean corruption error, 15 of 15 kinds at 5 severities"] == "40.00 %"
    assert said["error, fog, by severity"] == "0.0, 0.0, 0.0, 100.0, 100.0 % of 20 images each"
    figure = shifts.draw(found)
    assert figure is not None and len(figure.axes[0].patches) == 15
    (tmp_path / "c/fog.npy").unlink()
    few = shifts.measure(of(cifar, tmp_path / "c", limit=6))
    assert few["corrupted"]["snow"][3] == {"images": 6, "error": 1.0} and len(few["corrupted"]) == 14


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
    found = shifts.measure(of(cifar, tmp_path, limit=20))
    assert found["anew"] == {
        "CIFAR-10.1": {"images": 20, "error": 0.0},
        "CIFAR-10.2": {"images": 20, "error": 0.5},
    }
    assert "mean_corruption_error" not in found and found["corrupted"] == {}
    assert dict(shifts.rows(found))["error on CIFAR-10.2"] == "50.00 % of 20 images"


def test_what_the_files_lack_is_said(cifar: Scene, tmp_path: Path) -> None:
    write_cifar_c(cifar, tmp_path / "c", wrong_from=3)
    with pytest.raises(UserError, match="with `shifted=DIR`"):
        shifts.measure(cifar)
    with pytest.raises(UserError, match="holds no file of CIFAR-10-C"):
        shifts.measure(of(cifar, tmp_path))
    np.save(tmp_path / "c/snow.npy", np.zeros((100, 3, 32, 32), dtype=np.uint8))
    with pytest.raises(UserError, match=r"snow.npy: expected images \(N, 32, 32, 3\)"):
        shifts.measure(of(cifar, tmp_path / "c"))
    (tmp_path / "c/snow.npy").write_bytes(b"no array")
    with pytest.raises(UserError, match="snow.npy cannot be read"):
        shifts.measure(of(cifar, tmp_path / "c"))
    np.save(tmp_path / "c/snow.npy", np.zeros((99, 32, 32, 3), dtype=np.uint8))
    with pytest.raises(UserError, match="snow.npy: expected 99 labels"):
        shifts.measure(of(cifar, tmp_path / "c"))
    np.save(tmp_path / "c/labels.npy", np.full(100, 200))
    with pytest.raises(UserError, match="expected labels from 0 to 9"):
        shifts.measure(of(cifar, tmp_path / "c"))
    (tmp_path / "c/labels.npy").unlink()
    with pytest.raises(UserError, match="labels.npy cannot be read"):
        shifts.measure(of(cifar, tmp_path / "c"))


def test_a_run_of_other_classes_is_refused(cifar: Scene, tmp_path: Path) -> None:
    """Ten classes of other things would give a number, and a wrong one."""
    write_cifar_c(cifar, tmp_path / "c", wrong_from=3)
    digits = digits_scene(tmp_path / "digits")
    with pytest.raises(UserError, match="the classes of CIFAR-10 or CIFAR-100"):
        shifts.measure(of(digits, tmp_path / "c"))


def test_the_names_of_classes_are_those_of_cifar() -> None:
    for names, count in ((CIFAR10.split(), 10), (CIFAR100.split(), 100)):
        assert names == sorted(set(names)) and len(names) == count
