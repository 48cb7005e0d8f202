"""A head of their own for mixed images, in every registered algorithm and with every word of mixing."""

import pytest
import torch
from algorithm_scene import networks, random_batch, step
from algorithm_tables import everything, mixes
from torch import nn

from ssl_mix import MixingTerms, UserError
from ssl_mix.algorithms import ALGORITHMS
from ssl_mix.mixing.words import Mix

WORDS: tuple[Mix, ...] = ("mixup", "dm", "as", "dm-as")
WITHOUT = ("supervised", "mixmatch", "remixmatch")  # all of whose images are mixed: no head would be left
MIXING = [name for name in ALGORITHMS if mixes(name)]


def learned(name: str, mixing: MixingTerms) -> nn.Module:
    """The student after the gradient of a step."""
    algorithm = ALGORITHMS[name](**{**everything(name)[-1], "mixing": mixing})
    nets = networks(algorithm)
    algorithm(nets, random_batch(algorithm), step()).loss.backward()
    return nets.student


@pytest.mark.parametrize("name", [name for name in MIXING if name not in WITHOUT])
@pytest.mark.parametrize("mix", WORDS)
def test_mixed_images_teach_their_own_head_and_the_features_alone(name: str, mix: Mix) -> None:
    loud = learned(name, MixingTerms(mix=mix, mix_head="own", mix_ramp="none"))
    silent = learned(name, MixingTerms(mix=mix, mix_head="own", mix_ramp="none", mix_weight=0.0))
    assert loud.get_parameter("mix_head.weight").grad.any()  # type: ignore[union-attr]
    assert not silent.get_parameter("mix_head.weight").grad.any()  # type: ignore[union-attr]
    grads = [dict(net.named_parameters()) for net in (loud, silent)]
    torch.testing.assert_close(*(found["head.weight"].grad for found in grads), rtol=1e-5, atol=1e-7)
    first = next(iter(grads[0]))
    assert not torch.equal(*(found[first].grad for found in grads))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", WITHOUT)
@pytest.mark.parametrize("mix", WORDS)
def test_it_is_refused_where_every_image_is_mixed(name: str, mix: Mix) -> None:
    with pytest.raises(UserError, match="`(mix_head|mix)"):
        ALGORITHMS[name](mixing=MixingTerms(mix=mix, mix_head="own"))
