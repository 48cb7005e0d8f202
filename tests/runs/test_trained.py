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

from ssl_mix import TrainConfig, UserError
from ssl_mix.algorithms import Supervised
from ssl_mix.augment import Augmentation
from ssl_mix.cli.main import main
from ssl_mix.datasets import decode
from ssl_mix.evaluation import accuracy, predict_probabilities
from ssl_mix.runs.answered import evaluate
from ssl_mix.runs.checkpoint import CURRENT, read_checkpoint
from ssl_mix.runs.data_options import DataOptions
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


def trained_run(pictures: Path, out: Path, **data: Any) -> Path:
    options = DataOptions(train=str(pictures / "train"), test=str(pictures / "test"), **data)
    config = TrainConfig(steps=8, batch_size=8, eval_every=2, log_every=4, threads=1, device="cpu")
    train(start(Run(Supervised(), options, config=config), out))
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


def test_ten_crops_of_data_with_a_size_of_their_own_are_refused(tmp_path: Path) -> None:
    config = TrainConfig(steps=2, batch_size=8, threads=1, device="cpu")
    opened = start(Run(Supervised(), DataOptions(data="digits", labels=20), config=config), tmp_path / "run")
    train(opened)
    with pytest.raises(
        UserError, match="those of `data=digits` have a size of their own: take `crops=center`"
    ):
        evaluate(load_trained(tmp_path / "run", "cpu"), crops="ten")
