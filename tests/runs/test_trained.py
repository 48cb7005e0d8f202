"""From training to evaluation and prediction, with crops, checked by hand."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sessions import train
from sklearn.metrics import balanced_accuracy_score
from torch import Tensor
from torchvision.transforms import v2

import ssl_mix
from ssl_mix import TrainConfig, UserError
from ssl_mix.algorithms import Supervised
from ssl_mix.augment import Augmentation
from ssl_mix.cli.main import main
from ssl_mix.datasets import as_dataset, decode
from ssl_mix.evaluation import accuracy, predict_probabilities
from ssl_mix.export.export import export
from ssl_mix.export.exported import Exported
from ssl_mix.runs.answered import evaluate
from ssl_mix.runs.checkpoint import CURRENT, read_checkpoint
from ssl_mix.runs.data_options import DataOptions
from ssl_mix.runs.net_options import NetOptions
from ssl_mix.runs.predicting import predict
from ssl_mix.runs.run import Run
from ssl_mix.runs.session import reopen, start
from ssl_mix.runs.trained import load_trained

CPU = torch.device("cpu")
CLASSES = ("blue", "green", "red")


def colors(folder: Path, count: int) -> None:
    """Wide images of a color each, not easily told apart, of three classes with unequal numbers."""
    drawn = np.random.default_rng(len(folder.name))
    for label, name in enumerate(CLASSES):
        (folder / name).mkdir(parents=True)
        for number in range(count + 2 * label):
            values = drawn.integers(0, 200, (32, 44, 3))
            values[..., 2 - label] += 30
            Image.fromarray(values.astype(np.uint8)).save(folder / name / f"{number}.png")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    colors(folder / "train", 8)
    colors(folder / "test", 4)
    return folder


def trained_run(pictures: Path, out: Path, net: str | None = None, **data: Any) -> Path:
    options = DataOptions(train=str(pictures / "train"), test=str(pictures / "test"), **data)
    config = TrainConfig(steps=8, batch_size=8, eval_every=2, log_every=4, threads=1, device="cpu")
    train(start(Run(Supervised(), options, NetOptions(net=net), config), out))
    return out


@pytest.fixture(scope="module")
def run(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    options = ["--image-size", "24", "--stored-size", "28", "--fit", "squash", "--crop", "resized"]
    options += [
        "--validation",
        "0.25",
        "--steps",
        "8",
        "--batch-size",
        "8",
        "--threads",
        "1",
        "--device",
        "cpu",
    ]
    folders = ["--train", str(pictures / "train"), "--test", str(pictures / "test")]
    main(["train", "supervised", *folders, *options, "--out", str(out)])
    return out


def squashed(files: list[Path]) -> Tensor:
    return torch.stack([decode(file, 28, fit="squash") for file in files])


@torch.no_grad()
def test_a_run_with_crops_is_evaluated_as_by_hand(run: Path, pictures: Path) -> None:
    trained = load_trained(run, "cpu")
    assert trained.shape == (3, 24, 24) and trained.stored_size == 28 and trained.step == 8
    files = [file for name in CLASSES for file in sorted((pictures / "test" / name).iterdir())]
    labels = [CLASSES.index(file.parent.name) for file in files]
    mean, std = list(trained.augmentation.mean), list(trained.augmentation.std)
    for crops, peer in (("center", v2.CenterCrop(24)), ("ten", v2.TenCrop(24))):
        seen = peer(squashed(files))
        views = [
            v2.functional.normalize(x.float() / 255, mean, std) for x in (seen if crops == "ten" else [seen])
        ]
        logits = torch.stack([trained.net(view) for view in views]).mean(0)
        right = logits.argmax(1).numpy()
        found = evaluate(trained, crops=crops)  # type: ignore[arg-type]
        assert found.images == len(files)
        assert found.accuracy == pytest.approx(float(np.mean(right == labels)), abs=1e-6)
        assert found.mean_class_accuracy == pytest.approx(balanced_accuracy_score(labels, right), abs=1e-6)
    probabilities = predict(trained, files[:3]).probabilities
    center = v2.functional.normalize(v2.CenterCrop(24)(squashed(files[:3])).float() / 255, mean, std)
    torch.testing.assert_close(probabilities, trained.net(center).softmax(1), rtol=1e-4, atol=1e-5)


def test_the_commands_say_what_they_did(
    run: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained = load_trained(run, "cpu")
    for crops in ("center", "ten"):
        main(["evaluate", str(run), "--crops", crops, "--device", "cpu"])
        shown, found = capsys.readouterr().out, evaluate(trained, crops=crops)  # type: ignore[arg-type]
        for row, value in (("mean of classes", found.mean_class_accuracy), ("all", found.accuracy)):
            line = next(line for line in shown.splitlines() if row in line)
            assert f"{100 * value:.2f} %" in line
    out = tmp_path / "best.csv"
    main(
        [
            "predict",
            str(run),
            str(pictures / "test"),
            "--weights",
            "best",
            "--out",
            str(out),
            "--device",
            "cpu",
        ]
    )
    best = predict(load_trained(run, "cpu", "best"), [pictures / "test"])
    confidences = [float(row["confidence"]) for row in csv.DictReader(out.read_text().splitlines())]
    assert confidences == pytest.approx(best.probabilities.max(1).values.tolist(), abs=1e-3)


def test_the_best_weights_are_those_of_the_best_validation(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    best = read_checkpoint(run / CURRENT)["best"]
    trained = load_trained(run, "cpu", "best")
    assert trained.step == best["step"]
    assert all(torch.equal(value, best["teacher"][name]) for name, value in trained.net.state_dict().items())
    main(["evaluate", str(run), "--weights", "best", "--device", "cpu"])
    assert f"Teacher after step {best['step']} " in capsys.readouterr().out


def test_a_run_with_crops_goes_on_where_it_was(run: Path) -> None:
    assert reopen(run).trainer.step == 8


def test_ten_crops_of_pictures_stored_as_seen_read_them_larger(pictures: Path, tmp_path: Path) -> None:
    trained = load_trained(trained_run(pictures, tmp_path / "run", image_size=24), "cpu")
    assert trained.stored_size == 24
    larger = DataOptions(
        train=str(pictures / "train"), test=str(pictures / "test"), image_size=24, stored_size=27
    )
    test = larger.load().test
    assert test is not None and test.images.shape == (3, 27, 27)
    wanted = Augmentation(trained.augmentation.mean, trained.augmentation.std, size=24)
    probabilities = predict_probabilities(trained.net, test.images, wanted, CPU, crops="ten")
    assert evaluate(trained, crops="ten").accuracy == pytest.approx(accuracy(probabilities, test.labels))
    with pytest.raises(UserError, match="no best weights: train with `validation=SHARE`"):
        load_trained(tmp_path / "run", "cpu", "best")


def test_a_run_is_asked_at_the_size_of_its_tests(pictures: Path, tmp_path: Path) -> None:
    """Trained at 16, evaluated, predicted with and exported at 24 out of 28 pixels."""
    sizes = {"image_size": 16, "test_image_size": 24, "stored_size": 28, "crop": "resized"}
    out, seen = trained_run(pictures, tmp_path / "run", "small-cnn", **sizes), []
    session = reopen(out)
    assert session.trainer.feed.shape == (3, 16, 16)
    trained = load_trained(out, "cpu")
    assert (trained.shape, trained.stored_size) == ((3, 24, 24), 28)
    files = sorted((pictures / "test" / "red").iterdir())
    mean, std = list(trained.augmentation.mean), list(trained.augmentation.std)
    stored = torch.stack([decode(file, 28) for file in files])
    shown = v2.functional.normalize(v2.CenterCrop(24)(stored).float() / 255, mean, std)
    with torch.no_grad():
        wanted = trained.net(shown).softmax(1)
    torch.testing.assert_close(predict(trained, files).probabilities, wanted, rtol=1e-4, atol=1e-5)
    for net in (trained.net, session.trainer.teacher.net):
        net.register_forward_pre_hook(lambda _, inputs: seen.append(tuple(inputs[0].shape[2:])))
    found = evaluate(trained), evaluate(trained, crops="ten")
    assert session.trainer.evaluate()["test_accuracy"] == pytest.approx(found[0].accuracy)
    assert set(seen) == {(24, 24)} and found[0].images == found[1].images
    compared = export(trained, "torchscript", tmp_path / "net.ts")
    assert compared.accuracy == pytest.approx(found[0].accuracy)
    about = Exported(tmp_path / "net.ts").about
    assert (about.size, about.stored_size) == (24, 28)


def test_another_size_in_tests_is_refused_where_there_can_be_none(pictures: Path, tmp_path: Path) -> None:
    given = {"train": str(pictures / "train"), "image_size": 32, "test_image_size": 48, "steps": 2}
    with pytest.raises(
        UserError, match="`test_image_size` 48: PVTTiny looks at images of the 32 pixels alone"
    ):
        ssl_mix.fit("supervised", **given, net="pvt-t", batch_size=2, out=tmp_path / "a")
    with pytest.raises(UserError, match="`test_image_size` is for networks that learn at another size"):
        ssl_mix.fit("supervised", **given, net="small-cnn", tune="head", out=tmp_path / "b")
    images = np.zeros((6, 16, 16, 3), dtype=np.uint8), [0, 1] * 3
    with pytest.raises(UserError, match="`stored_size` is for images that are read by the path"):
        ssl_mix.fit("supervised", images, stored_size=20, steps=2)
    with pytest.raises(UserError, match="`stored_size` has no effect beside a DataSet"):
        ssl_mix.fit("supervised", as_dataset(images), stored_size=20, steps=2)
    assert not any(path.exists() for path in (tmp_path / "a", tmp_path / "b"))


def test_ten_crops_of_data_with_a_size_of_their_own_are_refused(tmp_path: Path) -> None:
    config = TrainConfig(steps=2, batch_size=8, threads=1, device="cpu")
    opened = start(Run(Supervised(), DataOptions(data="digits", labels=20), config=config), tmp_path / "run")
    train(opened)
    with pytest.raises(
        UserError, match="those of `data=digits` have a size of their own: take `crops=center`"
    ):
        evaluate(load_trained(tmp_path / "run", "cpu"), crops="ten")
