"""Weights of 8 bits: what they cost is measured, told, and refused where it is too much."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ssl_mix import UserError
from ssl_mix.cli.main import main
from ssl_mix.export import export_int8, int8
from ssl_mix.export.exported import Exported
from ssl_mix.export.graphs import PARTS
from ssl_mix.runs.trained import load_trained


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    for part in PARTS:
        pytest.importorskip(part, reason="ONNX files need pip install 'ssl-mix[onnx]'")
    root, draw = tmp_path_factory.mktemp("int8"), np.random.default_rng(0)
    for part in ("train", "test"):
        for name, base in (("dark", 60), ("light", 160)):
            (root / part / name).mkdir(parents=True)
            for number in range(6):
                pixels = draw.integers(base - 50, base + 50, size=(16, 16, 3)).astype(np.uint8)
                Image.fromarray(pixels).save(root / part / name / f"{number}.png")
    words = ["--train", str(root / "train"), "--test", str(root / "test"), "--image-size", "16"]
    words += ["--net", "timm:test_efficientnet", "--batch-size", "6", "--steps", "3", "--threads", "1"]
    main(["train", "supervised", *words, "--device", "cpu", "--out", str(root / "run")])
    return root


@pytest.mark.parametrize("how", ["dynamic", "static"])
def test_a_file_of_8_bits_answers_as_the_run_does_and_says_what_it_costs(
    how: str, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "net.onnx"
    main(["export", str(root / "run"), "--to", "onnx", "--int8", how, "--max-fall", "1", "--out", str(out)])
    read, trained = Exported(out), load_trained(root / "run", "cpu")
    images = torch.randint(256, (8, 3, 16, 16), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    theirs, ours = read.net(images).exp(), torch.tensor(trained.predict_proba(images))
    assert 0 < (theirs - ours).abs().max() < 0.05  # rounded, and not by much
    assert read.about.int8 == how
    told = capsys.readouterr().out
    before, after = read.about.accuracy_before_int8, read.about.accuracy_int8
    assert f"12 test images of the run {100 * after:.2f} %, {100 * before:.2f} % before" in told
    main(["evaluate", str(out), "--test", str(root / "test")])
    assert f"{100 * after:.2f} %" in capsys.readouterr().out
    assert out.stat().st_size < 300_000  # 508 kB with 32 bits


def test_too_much_is_refused(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(int8, "write_onnx", lambda net, known, path: path.touch())
    monkeypatch.setattr(int8, "read_onnx", lambda path: (None, None))
    monkeypatch.setattr(int8, "compare", lambda *of: None)
    monkeypatch.setattr(int8, "_quantize", lambda whole, made, shown: made.touch())
    monkeypatch.setattr(int8, "_accuracy", lambda path, answered: 0.0)
    with pytest.raises(UserError, match="falls from .* to 0.00%, by more than `max_fall` 2.00%"):
        export_int8(load_trained(root / "run", "cpu"), "dynamic", tmp_path / "net.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--to", "exported", "--int8", "static"], "--int8 is for --to onnx, not for --to exported"),
        (["--to", "onnx", "--max-fall", "0.1"], "--max-fall is of --int8"),
    ],
)
def test_options_that_would_do_nothing_are_refused(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run").mkdir()
    with pytest.raises(SystemExit):
        main(["export", str(tmp_path / "run"), *words, "--out", str(tmp_path / "net.onnx")])
    assert message in " ".join(capsys.readouterr().err.split())
