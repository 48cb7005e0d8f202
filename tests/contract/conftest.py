"""Fixtures of the contract of mixers."""

import pytest
import torch
from mixer_scene import Net


@pytest.fixture(scope="module")
def nets() -> dict[int, Net]:
    """A network by the number of colors."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return {colors: Net(colors) for colors in (1, 3)}
