"""What a forward pass keeps for the gradient is counted to the byte."""

import sys
from pathlib import Path

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
from recipe_memory import as_with_gpu, kept_bytes, measure, on_cuda


def test_what_two_linear_layers_keep_is_counted_to_the_byte() -> None:
    with torch.device("meta"):
        net = nn.Sequential(nn.Flatten(), nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 3))
    with FakeTensorMode(), as_with_gpu():
        on_cuda(net)
        few, many = (kept_bytes(net, (3, 2, 2), batch) for batch in (4, 14))
    inputs, hidden, log_shares, label = 12 * 2, 8 * 2, 3 * 4, 8
    assert many - few == 10 * (inputs + hidden + log_shares + label)


def test_the_estimate_of_a_recipe_is_near_what_is_counted() -> None:
    line = measure("cifar-preact-resnet-18")
    assert 0.9 * line["counted"] < line["at_least"] < 1.05 * line["counted"]
