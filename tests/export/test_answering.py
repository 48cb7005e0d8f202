"""What of a trained network is exported."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from algorithm_scene import network
from safetensors.torch import load_file

from ssl_mix import fit
from ssl_mix.algorithms import ALGORITHMS
from ssl_mix.export import export
from ssl_mix.export.answering import answering


@pytest.mark.parametrize("name", list(ALGORITHMS))
def test_what_an_algorithm_adds_for_training_alone_is_left_out(name: str) -> None:
    images, plain = torch.zeros(2, 1, 8, 8), network(ALGORITHMS["supervised"]())
    algorithm: Any = ALGORITHMS[name]()
    whole = network(algorithm).eval()
    alone = answering(whole, images)
    assert torch.equal(alone(images), whole(images))
    assert {key for key, _ in alone.named_parameters()} == {key for key, _ in plain.named_parameters()}


def test_the_second_head_is_written_and_the_first_is_not(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    x, y = draw.integers(0, 256, (12, 8, 8)).astype(np.uint8), np.repeat([0, 1], [9, 3])
    options: dict[str, Any] = {"steps": 2, "batch_size": 4, "unlabeled_ratio": 1, "rebalance": "abc"}
    trained = fit("fixmatch", (x, y), x, (x, y), out=tmp_path / "run", **options)
    assert "base_head.weight" in trained.net.state_dict()
    export(trained, "safetensors", tmp_path / "net.safetensors")
    written = load_file(tmp_path / "net.safetensors")
    assert written.keys() == trained.net.state_dict().keys() - {"base_head.weight", "base_head.bias"}
    assert torch.equal(written["head.weight"], trained.net.state_dict()["head.weight"])
    again = fit("supervised", (x, y), pretrained=tmp_path / "net.safetensors", lr=1e-9, steps=1)
    torch.testing.assert_close(again.net.state_dict()["head.weight"], written["head.weight"])
