"""StochNorm normalizes each channel by the batch or by the moving statistics, as drawn."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import transfer_reference as reference
from numpy.typing import NDArray
from torch import Tensor
from transfer_nets import Convolutional, weights_of
from transfer_scene import EXACT, ConvScene, assert_gradients

from ssl_mix.models.stoch_norm import StochNorm2d

NORMS = ["first.1", "second.norm1", "second.norm2", "second.downsample.1"]


def watched(scene: ConvScene, **kwargs: Any) -> dict[str, NDArray[Any]]:
    """Run a step and read back which channels were normalized by the batch; returns what went into each
    layer."""
    inputs, layers = {}, {n: scene.student.get_submodule(n) for n in NORMS}
    before = weights_of(scene.student)

    def look(name: str) -> Callable[..., Any]:
        def hook(module: StochNorm2d, args: tuple[Tensor], out: Tensor) -> None:
            x, y = args[0].detach().numpy(), out.detach().numpy()
            inputs[name] = x
            both = [reference.stoch_norm(before, name, x, np.full(x.shape[1], s)) for s in (0, 1)]
            fits = np.array(
                [[np.allclose(y[:, c], b[:, c], rtol=0, atol=1e-10) for c in range(x.shape[1])] for b in both]
            )
            assert (fits.sum(axis=0) == 1).all(), (
                "each channel by one of the two, the same for the whole batch"
            )
            scene.chosen[name] = fits[1].astype(float)

        return hook

    hooks = [layer.register_forward_hook(look(name)) for name, layer in layers.items()]
    scene.run(**kwargs)
    for hook in hooks:
        hook.remove()
    return inputs


@pytest.mark.parametrize("probability", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_stochnorm(probability: float, seed: int) -> None:
    scene = ConvScene("stochnorm", seed=seed, probability=probability)
    inputs = watched(scene, seed=seed)
    assert scene.output.loss.item() == pytest.approx(scene.expected(), rel=EXACT)
    assert_gradients(scene)
    drawn = np.concatenate(list(scene.chosen.values()))
    assert probability == 0.5 or (drawn == probability).all()
    for name, x in inputs.items():  # all channels follow the batch, whichever they were normalized by
        layer = scene.student.get_submodule(name)
        mean, variance = reference.moved(scene.w, name, [x])
        np.testing.assert_allclose(layer.running_mean, mean, rtol=EXACT, atol=1e-12)
        np.testing.assert_allclose(layer.running_var, variance, rtol=EXACT)
        assert layer.num_batches_tracked.item() == 1


@pytest.mark.parametrize("probability", [0.2, 0.5, 0.8])
def test_stochnorm_draws_each_channel_anew_in_each_step(probability: float) -> None:
    scene = ConvScene("stochnorm", probability=probability)
    draws = []
    for seed in range(100):
        watched(scene, number=seed, seed=seed)
        draws.append(np.concatenate([scene.chosen[n] for n in NORMS]))
    drawn = np.array(draws)
    error = (probability * (1 - probability) / drawn.size) ** 0.5
    assert abs(drawn.mean() - probability) < 4 * error
    assert np.abs(np.corrcoef(drawn.T) - np.eye(drawn.shape[1])).max() < 0.5, "no two channels share a draw"
    assert len({tuple(row) for row in drawn}) > 60


def test_stochnorm_can_be_replayed() -> None:
    """Its layers draw as dropout does, from the generator of torch that the training loop seeds for each
    step."""
    scene = ConvScene("stochnorm")
    chosen = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        watched(scene)
        chosen.append(np.concatenate([scene.chosen[n] for n in NORMS]))
    assert (chosen[0] == chosen[1]).all() and (chosen[0] != chosen[2]).any()


def test_stochnorm_is_plain_batch_norm_in_evaluation_and_keeps_its_names() -> None:
    scene = ConvScene("stochnorm")
    plain = Convolutional().double()
    plain.load_state_dict(scene.student.state_dict())
    pictures = torch.from_numpy(scene.x)
    for net in (scene.student, scene.teacher):
        plain.load_state_dict(net.state_dict())
        torch.testing.assert_close(net.eval()(pictures), plain.eval()(pictures), rtol=1e-12, atol=1e-12)
