"""Co-Tuning begins with the classifier of the source classes."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from transfer_nets import CLASSES, WIDTH, Bent
from transfer_scene import SHAPE, SOURCES, UNLABELED

from ssl_mix.algorithms import ALGORITHMS
from ssl_mix.models.pretrained import keep_source_head
from ssl_mix.types import Task


def test_co_tuning_needs_a_source_head() -> None:
    net = Bent()
    with pytest.raises(ValueError, match="source|classifier|pre-?trained"):
        ALGORITHMS["co-tuning"]().extend(net, Task(CLASSES, UNLABELED, SHAPE))


def test_co_tuning_starts_from_the_source_head_and_an_even_relationship() -> None:
    net: Any = Bent()
    head = nn.Linear(WIDTH, SOURCES)
    weight = head.weight.detach().clone()
    keep_source_head(net, head)
    algorithm: Any = ALGORITHMS["co-tuning"]()
    net = algorithm.extend(net, Task(CLASSES, UNLABELED, SHAPE))
    torch.testing.assert_close(dict(net.named_parameters())["source_head.weight"].detach(), weight)
    assert "relationship_matrix" in dict(algorithm.named_buffers())
    np.testing.assert_allclose(
        algorithm.relationship_matrix, np.full((CLASSES, SOURCES), 1 / SOURCES), rtol=1e-6
    )
