import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from ssl_mix.cli.main import main
from ssl_mix.errors import UserError
from ssl_mix.evaluation import Temperature
from ssl_mix.export import export
from ssl_mix.export.deployed import About, Deployed, about
from ssl_mix.export.exported import Exported
from ssl_mix.export.graphs import GRAPHS, PARTS
from ssl_mix.export.weights import timm_body
from ssl_mix.runs.temperature import keep_temperature
from ssl_mix.runs.trained import TrainedRun, load_trained
from ssl_mix.transfer.head_net import HeadNet, OnBody

KINDS = ("dark", "light")
NET = "timm:test_efficientnet"
GRAPH_NAMES = list(GRAPHS)


def skip_without_onnx(name: str) -> None:
    if name == "onnx":
        for part in PARTS:
            pytest.importorskip(part, reason="ONNX files need pip install 'ssl-mix[onnx]'")


def folders(root: Path) -> None:
    draw = np.random.default_rng(0)
    for part, count in (("train", 4), ("test", 5)):
        for name, base in zip(KINDS, (60, 160), strict=True):
            place = root / part / name
            place.mkdir(parents=True)
            for number in range(count):
                pixels = draw.integers(base - 50, base + 50, size=(40, 36, 3)).astype(np.uint8)
                Image.fromarray(pixels).save(place / f"{number}.png")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("export")
    folders(root)
    words = [
        "--train",
        str(root / "train"),
        "--test",
        str(root / "test"),
        "--image-size",
        "32",
        "--steps",
        "3",
    ]
    words += ["--stored-size", "36", "--net", NET, "--batch-size", "4", "--device", "cpu", "--threads", "1"]
    main(["train", "supervised", *words, "--out", str(root / "run")])
    return root


@pytest.fixture(scope="module")
def trained(root: Path) -> TrainedRun:
    return load_trained(root / "run", "cpu")


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


@pytest.mark.parametrize("to", GRAPH_NAMES)
def test_a_graph_predicts_and_is_evaluated_as_the_run_is(
    to: str, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    skip_without_onnx(to)
    out = tmp_path / f"net{GRAPHS[to].suffix}"
    main(["export", str(root / "run"), "--to", to, "--out", str(out)])
    assert "On 10 test images of the run" in capsys.readouterr().out
    for model, file in ((root / "run", "run.csv"), (out, "file.csv")):
        main(["predict", str(model), str(root / "test"), "--out", str(tmp_path / file)])
    ours, theirs = rows(tmp_path / "run.csv"), rows(tmp_path / "file.csv")
    assert len(ours) == 10 and [row["file"] for row in ours] == [row["file"] for row in theirs]
    for one, other in zip(ours, theirs, strict=True):
        assert one["class"] == other["class"]
        assert float(one["confidence"]) == pytest.approx(float(other["confidence"]), abs=1e-5)
    capsys.readouterr()
    said = []
    for model in (root / "run", out):
        main(["evaluate", str(model), "--test", str(root / "test"), "--json"])
        said.append(json.loads(capsys.readouterr().out))
    assert said[0]["accuracy"] == said[1]["accuracy"] and said[0]["images"] == said[1]["images"] == 10


@pytest.mark.parametrize("to", GRAPH_NAMES)
def test_a_graph_takes_any_number_of_images_and_knows_what_it_is(
    to: str, trained: TrainedRun, tmp_path: Path
) -> None:
    skip_without_onnx(to)
    out = tmp_path / f"net{GRAPHS[to].suffix}"
    export(trained, to, out, temperature=2.0)
    read = Exported(out)
    known = about(trained, "supervised", 2.0)
    assert read.about == known and read.classes == KINDS and read.form == trained.form
    images = torch.randint(256, (7, 3, 36, 36), dtype=torch.uint8)
    seen = (images[:, :, 2:34, 2:34].double() / 255 - torch.tensor(known.mean).view(3, 1, 1)) / torch.tensor(
        known.std
    ).view(3, 1, 1)
    with torch.inference_mode():
        wanted = (trained.net(seen.float()) / 2).softmax(dim=1)
    for count in (1, 2, 7):
        torch.testing.assert_close(read.net(images[:count]).softmax(dim=1), wanted[:count], atol=1e-5, rtol=0)


def test_a_calibrated_file_predicts_as_the_calibrated_run_does(root: Path, tmp_path: Path) -> None:
    run = root / "run"
    keep_temperature(run, Temperature(3.0, ""), 3, "test images")
    main(["export", str(run), "--to", "exported", "--out", str(tmp_path / "net.pt2"), "--calibrated"])
    words = [str(root / "test"), "--out"]
    main(["predict", str(run), *words, str(tmp_path / "run.csv"), "--calibrated"])
    main(["predict", str(tmp_path / "net.pt2"), *words, str(tmp_path / "file.csv")])
    ours, theirs = rows(tmp_path / "run.csv"), rows(tmp_path / "file.csv")
    assert [float(row["confidence"]) for row in theirs] == pytest.approx(
        [float(row["confidence"]) for row in ours], abs=1e-5
    )
    (run / "calibration.json").unlink()


def test_timm_loads_the_weights_with_no_key_left_over(trained: TrainedRun, tmp_path: Path) -> None:
    done = export(trained, "timm", tmp_path / "net.safetensors")
    assert done.tested and done.difference < 1e-6 and done.alike == done.images == 10
    net = timm.create_model(NET.removeprefix("timm:"), num_classes=2)
    assert net.load_state_dict(load_file(tmp_path / "net.safetensors")) == ([], [])
    images = torch.rand(3, 3, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(net.eval()(images), trained.net(images))
    with safe_open(tmp_path / "net.safetensors", "pt") as file:
        assert json.loads(file.metadata()["ssl_mix"])["classes"] == list(KINDS)


def test_a_head_on_standardized_features_is_no_network_of_timm() -> None:
    with pytest.raises(UserError, match="a head on features that are centered and of one length"):
        timm_body(OnBody(nn.Identity(), HeadNet(3, 2), torch.zeros(3)))


def test_a_folder_for_the_hub_is_loaded_by_timm(trained: TrainedRun, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    export(trained, "huggingface", folder)
    net = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    images = torch.rand(3, 3, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(net(images), trained.net(images))
    data = timm.data.resolve_model_data_config(net)
    assert list(data["input_size"]) == [3, 32, 32]
    assert data["mean"] == pytest.approx(trained.augmentation.mean)
    assert data["crop_pct"] == pytest.approx(32 / 36)
    card = (folder / "README.md").read_text()
    assert "10 test images" in card and "2 classes" in card and str(tmp_path) not in card
    assert json.loads((folder / "config.json").read_text())["label_names"] == list(KINDS)


def test_a_run_starts_from_exported_weights(
    root: Path, trained: TrainedRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "weights.safetensors"
    export(trained, "safetensors", out)
    words = [
        "--train",
        str(root / "train"),
        "--image-size",
        "32",
        "--steps",
        "1",
        "--net",
        NET,
        "--batch-size",
        "2",
    ]
    main(
        [
            "train",
            "supervised",
            *words,
            "--pretrained",
            str(out),
            "--lr",
            "1e-9",
            "--out",
            str(tmp_path / "next"),
        ]
    )
    again = load_trained(tmp_path / "next", "cpu").net.state_dict()
    for name, value in trained.net.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(again[name], value, atol=1e-6, rtol=0)


def test_without_a_test_part_noise_is_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders(tmp_path)
    words = ["--train", str(tmp_path / "train"), "--image-size", "16", "--steps", "1", "--batch-size", "2"]
    main(["train", "supervised", *words, "--out", str(tmp_path / "run")])
    main(["export", str(tmp_path / "run"), "--to", "exported", "--out", str(tmp_path / "net.pt2")])
    assert "On 8 images of noise (the run has no test images)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--to", "exported", "--out", "net.onnx"], "ends in .pt2"),
        (["--to", "exported", "--out", "nowhere/net.pt2"], "does not exist"),
        (["--to", "exported", "--out", "there.pt2"], "is there already"),
        (["--to", "timm", "--out", "a/there.pt2"], "does not exist"),
    ],
)
def test_wrong_outputs_are_refused_before_the_run_is_read(
    words: list[str],
    message: str,
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("there.pt2").write_text("mine")
    with pytest.raises(SystemExit) as stopped:
        main(["export", str(root / "run"), *words])
    assert stopped.value.code == 2 and message in capsys.readouterr().err
    assert Path("there.pt2").read_text() == "mine"


def test_a_network_that_timm_does_not_know_is_refused(tmp_path: Path) -> None:
    main(
        [
            "train",
            "supervised",
            "--data",
            "digits",
            "--labels-per-class",
            "1",
            "--steps",
            "1",
            "--out",
            str(tmp_path / "run"),
        ]
    )
    with pytest.raises(UserError, match="none of timm's"):
        export(load_trained(tmp_path / "run", "cpu"), "timm", tmp_path / "net.safetensors")
    assert not list(tmp_path.glob("*.safetensors")) and not list(tmp_path.glob(".export*"))


def test_a_network_that_differs_is_not_written(
    trained: TrainedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def another(net: Deployed, described: object, path: Path) -> None:
        path.write_text("")

    def ones(path: Path) -> tuple[Callable[[Tensor], Tensor], About]:
        return lambda images: torch.ones(len(images), 2), about(trained, "supervised")

    graph = GRAPHS["exported"]._replace(write=another, read=ones)
    monkeypatch.setitem(GRAPHS, "exported", graph)
    with pytest.raises(UserError, match="differs from the run by"):
        export(trained, "exported", tmp_path / "net.pt2")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["net.pt2", "net.ts", "net.txt", "net.onnx"])
def test_a_file_of_something_else_is_no_network(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    skip_without_onnx(name.partition(".")[2])
    (tmp_path / name).write_bytes(b"something else")
    with pytest.raises(SystemExit) as stopped:
        main(["predict", str(tmp_path / name), str(tmp_path), "--out", str(tmp_path / "out.csv")])
    assert stopped.value.code == 2 and name in capsys.readouterr().err
