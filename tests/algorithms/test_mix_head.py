"""A head of their own for mixed images."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from transfer_nets import CLASSES, Bent
from transfer_scene import EXACT, SHAPE, SOURCES, UNLABELED, Scene, gradients, small

from ssl_mix.algorithms import ALGORITHMS
from ssl_mix.mixing.terms import MixingTerms
from ssl_mix.models.pretrained import keep_source_head
from ssl_mix.types import Task


@pytest.mark.parametrize("name", ["fine-tuning", "co-tuning", "self-tuning"])
def test_a_head_for_mixed_pictures_alone(name: str) -> None:
    """The clean head learns nothing from mixed images, the other nothing from clean ones."""
    option = MixingTerms(mix="dm-as", mix_weight=0.0, mix_head="own")
    scene = Scene(name, mixing=option, **small(name))
    scene.run(70).loss.backward()
    silent = gradients(scene)
    assert not silent["mix_head.weight"].any() and silent["head.weight"].any()
    loud = Scene(name, mixing=MixingTerms(mix="dm-as", mix_head="own"), **small(name))
    loud.run(70).loss.backward()
    assert gradients(loud)["mix_head.weight"].any()
    np.testing.assert_allclose(gradients(loud)["head.weight"], silent["head.weight"], rtol=EXACT, atol=1e-13)


@pytest.mark.parametrize("name", ["fine-tuning", "co-tuning", "self-tuning"])
def test_the_head_for_mixed_pictures_starts_as_the_head_does(name: str) -> None:
    torch.manual_seed(0)
    net: Any = Bent(width=200)
    if name == "co-tuning":
        keep_source_head(net, nn.Linear(200, SOURCES))
    algorithm = ALGORITHMS[name](mixing=MixingTerms(mix="dm-as", mix_head="own"))
    net = algorithm.extend(net, Task(CLASSES, UNLABELED, SHAPE))
    new = net.mix_head.weight.detach()
    assert new.shape == net.head.weight.shape and not torch.equal(new, net.head.weight)
    assert new.std().item() == pytest.approx(net.head.weight.std().item(), rel=0.1)
    assert new.abs().max() <= 200**-0.5
