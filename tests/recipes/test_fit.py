"""``ssl_mix.fit`` and ``ssl_mix.load`` with data and networks of the caller."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import TensorDataset

import ssl_mix
from ssl_mix.runs.folder import read_metrics

QUICK: dict[str, Any] = {"steps": 6, "batch_size": 4, "threads": 1, "log_every": 2, "checkpoint_every": 2}
QUICK |= {"eval_every": 3, "threshold": 0.3, "workers": 0}
CLASSES = ("dark", "light")


def images_of(count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Dark and light noise, (N, 3, 16, 16) uint8, and their classes in turn."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 2
    noise = torch.randint(0, 90, (count, 3, 16, 16), generator=generator)
    return (noise + 150 * labels.view(-1, 1, 1, 1)).to(torch.uint8), labels


def network(width: int = 6, classes: int = 2) -> nn.Module:
    torch.manual_seed(0)
    layers = (nn.Conv2d(3, width, 3), nn.BatchNorm2d(width), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return nn.Sequential(*layers, nn.Linear(width, classes))


def folders(root: Path) -> tuple[Path, Path, Path]:
    """Two classes labeled, the same unlabeled and mixed up, and for a test."""
    for part, count in (("labeled", 6), ("unlabeled", 12), ("test", 4)):
        for number, (image, label) in enumerate(zip(*images_of(count, len(part)), strict=True)):
            folder = root / part if part == "unlabeled" else root / part / CLASSES[label]
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image.permute(1, 2, 0).numpy()).save(folder / f"{number}.png")
    return root / "labeled", root / "unlabeled", root / "test"


def as_folders(root: Path) -> dict[str, Any]:
    return dict(zip(("labeled", "unlabeled", "test"), folders(root), strict=True)) | {"image_size": 16}


def as_lists(root: Path) -> dict[str, Any]:
    labeled, unlabeled, test = folders(root)
    pairs = [(file, file.parent.name) for file in sorted(labeled.rglob("*.png"))]
    tested = [(file, file.parent.name) for file in sorted(test.rglob("*.png"))]
    return {"labeled": pairs, "unlabeled": sorted(unlabeled.iterdir()), "test": tested}


def as_table(root: Path) -> dict[str, Any]:
    labeled, unlabeled, test = folders(root)
    rows = [f"{file},{file.parent.name}" for file in sorted(labeled.rglob("*.png"))]
    rows += [f"{file}," for file in sorted(unlabeled.iterdir())]
    (root / "table.csv").write_text("\n".join(["file,label", *rows]))
    return {"labeled": root / "table.csv", "test": test, "image_size": 16}


def as_arrays(root: Path) -> dict[str, Any]:
    del root
    X, y = (part.numpy() for part in images_of(6))
    tested, labels = (part.numpy() for part in images_of(4, 2))
    names = np.array(CLASSES)
    channels_last = X.transpose(0, 2, 3, 1)
    return {
        "labeled": (channels_last, names[y]),
        "unlabeled": images_of(12, 1)[0].numpy().astype(np.float32) / 255,
        "test": (tested, names[labels]),
    }


def as_datasets(root: Path) -> dict[str, Any]:
    del root
    parts = {"labeled": images_of(6), "unlabeled": images_of(12, 1)[:1], "test": images_of(4, 2)}
    return {**{name: TensorDataset(*part) for name, part in parts.items()}, "classes": CLASSES}


@pytest.mark.parametrize("form", [as_folders, as_lists, as_table, as_arrays, as_datasets])
def test_every_form_of_data_trains_and_is_used(
    form: Callable[[Path], dict[str, Any]], tmp_path: Path
) -> None:
    given = form(tmp_path / "data")
    options = (
        QUICK if form not in (as_folders, as_table) else {k: v for k, v in QUICK.items() if k != "workers"}
    )
    trained = ssl_mix.fit("fixmatch", **given, net="small-cnn", out=tmp_path / "run", **options)
    assert trained.classes == CLASSES and trained.step == 6
    answers = trained.predict_proba(given["unlabeled"] if "unlabeled" in given else given["test"])
    assert answers.dtype == np.float32 and answers.shape[1] == 2
    np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-5)
    found = trained.evaluate(given["test"])
    assert found.images == 4 and 0 <= found.accuracy <= 1 and found.per_class.keys() == set(CLASSES)
    assert read_metrics(tmp_path / "run")[-1]["test_accuracy"] == pytest.approx(found.accuracy)
    predicted = trained.predict(images_of(4, 2)[0])
    assert len(predicted) == 4 and set(predicted) <= set(CLASSES)
    labels = trained.pseudo_labels()
    assert 0 < len(labels) <= 12
    assert {label.predicted for label in labels} <= set(CLASSES)
    assert all(0 <= label.confidence <= 1 and 6 <= label.position < 18 for label in labels)
    again = ssl_mix.load(tmp_path / "run")
    np.testing.assert_array_equal(
        again.predict_proba(images_of(4)[0]), trained.predict_proba(images_of(4)[0])
    )


def own(**changed: Any) -> dict[str, Any]:
    """Data and a network that are handed over."""
    parts = {"labeled": TensorDataset(*images_of(6)), "unlabeled": TensorDataset(images_of(12, 1)[0])}
    return {**parts, "net": network(), **QUICK, **changed}


def test_a_network_of_the_caller_is_copied_and_needed_again(tmp_path: Path) -> None:
    net = network(classes=5)
    before = copy.deepcopy(net.state_dict())
    trained = ssl_mix.fit("fixmatch", **own(net=net), out=tmp_path / "run")
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    assert trained.predict_proba(images_of(3)[0]).shape == (3, 2)  # its head was for others
    assert not any("test" in record for record in read_metrics(tmp_path / "run")[-1])
    with pytest.raises(ValueError, match="handed over in Python"):
        ssl_mix.load(tmp_path / "run")
    with pytest.raises(ValueError, match="not the one that the run began with"):
        ssl_mix.load(tmp_path / "run", net=network(8))
    again = ssl_mix.load(tmp_path / "run", net=network())
    np.testing.assert_array_equal(
        again.predict_proba(images_of(3)[0]), trained.predict_proba(images_of(3)[0])
    )


class Cosine(nn.Module):
    """Ends in no linear layer."""

    def __init__(self, classes: int = 2) -> None:
        super().__init__()
        self.body, self.weight = network(6)[:-1], nn.Parameter(torch.eye(classes, 6))

    def forward(self, x: Tensor) -> Tensor:
        return 9 * nn.functional.normalize(self.body(x)) @ nn.functional.normalize(self.weight).T


def test_a_network_without_a_linear_head_gives_logits_alone(tmp_path: Path) -> None:
    trained = ssl_mix.fit("fixmatch", **own(net=Cosine()), out=tmp_path / "a")
    images = images_of(4)[0]
    again = ssl_mix.load(tmp_path / "a", net=Cosine())
    assert np.array_equal(again.predict_proba(images), trained.predict_proba(images))
    for algorithm, classes, words in (("fixmatch", 3, "net has 3 logits"), ("comatch", 2, "linear head")):
        with pytest.raises(ValueError, match=words):
            ssl_mix.fit(algorithm, **own(net=Cosine(classes)), out=tmp_path / "b")


def flipped(image: Tensor) -> Tensor:
    """A view of the caller's own, which draws."""
    values = image.float() / 255
    return values.flip(2) if torch.rand(()) < 0.5 else values


@pytest.mark.parametrize("views", [{}, {"weak": flipped, "strong": flipped}], ids=["ours", "own"])
def test_a_stopped_run_goes_on_to_the_bit(views: dict[str, Any], tmp_path: Path) -> None:
    whole = ssl_mix.fit("fixmatch", **own(**views), mix="dm-as", out=tmp_path / "whole")

    def stop(record: dict[str, float]) -> None:
        if record["step"] == 4:
            raise RuntimeError("the machine is needed")

    with pytest.raises(RuntimeError, match="the machine is needed"):
        ssl_mix.fit("fixmatch", **own(**views), mix="dm-as", out=tmp_path / "run", on_record=stop)
    other = {"labeled": TensorDataset(*images_of(6, 5)), "unlabeled": TensorDataset(images_of(12, 1)[0])}
    for changed, message in (
        ({"labeled": other["labeled"]}, "fingerprint"),
        ({"net": network(8)}, "not the one that the run began with"),
        ({"net": None}, "handed over in Python"),
    ):
        with pytest.raises(ValueError, match=message):
            ssl_mix.fit("fixmatch", **own(**views, **changed), out=tmp_path / "run", resume=True)
    resumed = ssl_mix.fit("fixmatch", **own(**views), mix="dm-as", out=tmp_path / "run", resume=True)
    assert resumed.step == 6
    for part in ("student", "teacher", "bank"):
        for name, value in whole.state[part].items():
            assert torch.equal(value, resumed.state[part][name]), name


def test_without_a_folder_it_is_a_temporary_one() -> None:
    trained = ssl_mix.fit("supervised", data="digits", labels=20, steps=1, batch_size=4, threads=1)
    assert (trained.folder / "config.json").exists() and len(trained.predict(np.zeros((2, 8, 8)))) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "nothing to learn from"),
        ({"unlabeled": images_of(4)[0]}, "labeled"),
        ({"labeled": images_of(4)[0]}, "expected images with labels"),
        ({"labeled": images_of(4), "treshold": 0.9}, "no option `treshold`"),
        ({"labeled": images_of(4)}, "needs unlabeled images"),
        ({"labeled": images_of(4), "unlabeled": images_of(4)[0], "net": nn.Flatten()}, "head"),
    ],
)
def test_mistakes_are_told_before_a_folder_is_made(
    arguments: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message) as refused:
        ssl_mix.fit("fixmatch", **arguments, out=tmp_path / "run")
    assert "--" not in str(refused.value) and not (tmp_path / "run").exists()


def test_a_path_may_begin_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    given: dict[str, Any] = {"labeled": "~/labeled", "unlabeled": Path("~/unlabeled"), "image_size": 16}
    ssl_mix.fit("fixmatch", **given, **QUICK | {"steps": 1}, net="small-cnn", out="~/run")
    assert len(ssl_mix.load("~/run").predict("~/test")) == 4 and not Path("~").exists()
