"""The web service of the guide, which knows the exported file alone."""

import asyncio
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from ssl_mix.datasets import decode
from ssl_mix.datasets.decode import Fit
from ssl_mix.export.deployed import About, Deployed
from ssl_mix.export.graphs import GRAPHS

GUIDE = Path(__file__).parents[2] / "docs/export.md"
PARTS = ("onnxruntime", "onnxscript", "fastapi", "python_multipart")


@pytest.mark.parametrize(("fit", "channels"), [("cut", 3), ("squash", 1)])
def test_it_answers_as_predict_does(
    fit: Fit, channels: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for part in PARTS:
        pytest.importorskip(part, reason="the service needs FastAPI, python-multipart and the extra [onnx]")
    from fastapi import UploadFile

    monkeypatch.chdir(tmp_path)
    noise = np.random.default_rng(0).integers(0, 256, (20, 14, 3), dtype=np.uint8)
    Image.fromarray(noise).save("wren.png")
    known = About(("wren", "robin"), channels, 8, fit, 6, (0.5,), (0.25,), 1.0, "fixmatch", 1)
    net = Deployed(nn.Sequential(nn.Flatten(), nn.Linear(36 * channels, 2)), known)
    GRAPHS["onnx"].write(net, known, Path("birds.onnx"))
    [source] = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    service: dict[str, Any] = {}
    exec(compile(source, "serve.py", "exec"), service)
    with Path("wren.png").open("rb") as opened:
        said = asyncio.run(service["classify"](UploadFile(opened)))
    with torch.inference_mode():
        [wanted] = net(decode(Path("wren.png"), 8, channels, fit)[None])
    assert said == pytest.approx(dict(zip(known.classes, wanted.tolist(), strict=True)), abs=1e-5)
