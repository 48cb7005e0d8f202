"""Stochastic normalization against its formula in float64, plain batch norm at both ends, and the blocks that
steer batch norm."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from timm.layers import BatchNormAct2d
from torch import nn

from ssl_mix.errors import UserError
from ssl_mix.models.stoch_norm import StochNorm2d, use_stoch_norm
from ssl_mix.passes import batch_statistics, frozen_running_statistics, keep_running_statistics


def pictures(seed: int = 0, channels: int = 6, dtype: Any = torch.float32) -> Any:
    return 3 * torch.randn(5, channels, 4, 3, generator=torch.Generator().manual_seed(seed), dtype=dtype) + 1


def randomize(net: Any, seed: int = 1) -> Any:
    """Scales, shifts and moving statistics that are none of their first values."""
    draw = torch.Generator().manual_seed(seed)
    for tensor in net.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand(tensor.shape, generator=draw) + 0.5)
    return net


def layer(probability: Any, dtype: Any = torch.float32, **options: Any) -> Any:
    return randomize(StochNorm2d(6, probability, **options)).to(dtype)


def twin(norm: Any) -> Any:
    """Plain batch norm with the same state."""
    plain = nn.BatchNorm2d(norm.num_features, norm.eps, norm.momentum, norm.affine)
    plain.load_state_dict(norm.state_dict())
    return plain.to(next(iter(norm.state_dict().values())).dtype)


def by_formula(norm: Any, x: Any, chosen: Any) -> Any:
    """The output, and the moving statistics after the batch."""
    state = {name: value.numpy().copy() for name, value in norm.state_dict().items()}
    mean, variance = x.mean(axis=(0, 2, 3)), x.var(axis=(0, 2, 3))
    m = np.where(chosen, mean, state["running_mean"])[:, None, None]
    v = np.where(chosen, variance, state["running_var"])[:, None, None]
    y = (x - m) / np.sqrt(v + norm.eps) * state["weight"][:, None, None] + state["bias"][:, None, None]
    count = x.size / x.shape[1]
    moving = [0.9 * state["running_mean"] + 0.1 * mean]
    moving += [0.9 * state["running_var"] + 0.1 * variance * count / (count - 1)]
    return y, moving


@pytest.mark.parametrize("seed", range(3))
def test_equals_the_formula(seed: Any) -> None:
    norm, x = layer(0.5, torch.float64), pictures(seed, dtype=torch.float64)
    torch.manual_seed(seed)
    chosen = torch.rand(6).numpy() < 0.5
    assert 0 < chosen.sum() < 6
    expected, moving = by_formula(norm, x.numpy(), chosen)
    torch.manual_seed(seed)
    np.testing.assert_allclose(norm(x).detach().numpy(), expected, rtol=1e-12)
    np.testing.assert_allclose(norm.running_mean.numpy(), moving[0], rtol=1e-12)
    np.testing.assert_allclose(norm.running_var.numpy(), moving[1], rtol=1e-12)
    assert norm.num_batches_tracked == 1


@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize("affine", [True, False])
def test_probability_one_is_batch_norm_to_the_bit(momentum: Any, affine: Any) -> None:
    norm = layer(1.0, momentum=momentum, affine=affine)
    plain = twin(norm)
    for seed in range(3):
        ours, theirs = pictures(seed).requires_grad_(), pictures(seed).requires_grad_()
        found, expected = norm(ours), plain(theirs)
        assert torch.equal(found, expected)
        found.square().sum().backward()
        expected.square().sum().backward()
        assert torch.equal(ours.grad, theirs.grad)
    for name, value in plain.state_dict().items():
        assert torch.equal(norm.state_dict()[name], value), name
    for mine, other in zip(norm.parameters(), plain.parameters(), strict=True):
        assert torch.equal(mine.grad, other.grad)


def test_probability_zero_normalizes_by_the_moving_statistics_of_before() -> None:
    norm = layer(0.0)
    for seed in range(3):
        expected = twin(norm).eval()(pictures(seed))
        torch.testing.assert_close(norm(pictures(seed)), expected, rtol=0, atol=0)
    assert norm.num_batches_tracked == 3


def test_share_of_channels_that_follow_the_batch() -> None:
    norm = StochNorm2d(20000, 0.3, affine=False)
    torch.manual_seed(0)
    x = pictures(channels=20000)
    found = norm(x)
    by_batch = twin(norm)(x).isclose(found).all(dim=(0, 2, 3))
    # Five standard deviations of a binomial share.
    assert abs(by_batch.double().mean() - 0.3) < 5 * (0.3 * 0.7 / 20000) ** 0.5


def test_draws_repeat_with_the_default_generator_and_differ_between_batches() -> None:
    norm = layer(0.5)
    start, x = copy.deepcopy(norm.state_dict()), pictures()
    outputs = []
    for seed in (3, 3, 4):
        norm.load_state_dict(start)
        torch.manual_seed(seed)
        outputs.append(norm(x))
    assert torch.equal(outputs[0], outputs[1]) and not torch.equal(outputs[0], outputs[2])


@pytest.mark.parametrize("probability", [0.0, 0.5, 1.0])
def test_gradient_numerically(probability: Any) -> None:
    """Each call begins with the same statistics and draw, as numerical differentiation must."""
    norm = layer(probability, torch.float64)

    def forward(x: Any, weight: Any, bias: Any) -> Any:
        torch.manual_seed(5)
        return torch.func.functional_call(copy.deepcopy(norm), {"weight": weight, "bias": bias}, (x,))

    inputs = pictures(dtype=torch.float64), norm.weight.detach().clone(), norm.bias.detach().clone()
    assert torch.autograd.gradcheck(forward, [tensor.requires_grad_() for tensor in inputs])


def test_two_forward_passes_before_one_backward_pass() -> None:
    """The second pass changes the moving statistics that the first one used."""
    norm, x = layer(0.0), pictures().requires_grad_()
    scale = norm.weight.detach() / (norm.running_var + norm.eps).sqrt()
    first = norm(x)
    norm(pictures(1))
    first.sum().backward()
    torch.testing.assert_close(x.grad, scale[:, None, None].expand_as(x))


def test_evaluation_is_plain_batch_norm_and_draws_nothing() -> None:
    norm = layer(0.5).eval()
    torch.manual_seed(0)
    state = torch.get_rng_state()
    assert torch.equal(norm(pictures()), twin(norm).eval()(pictures()))
    assert torch.equal(torch.get_rng_state(), state)
    assert norm.num_batches_tracked == 0


@pytest.mark.parametrize("block", [frozen_running_statistics, batch_statistics])
def test_blocks_that_ask_for_batch_statistics_get_them(block: Any) -> None:
    norm = layer(0.5).train(block is frozen_running_statistics)
    before = copy.deepcopy(norm.state_dict())
    expected = twin(norm)(pictures())
    with block(norm):
        assert torch.equal(norm(pictures()), expected)
    assert all(torch.equal(value, before[name]) for name, value in norm.state_dict().items())
    assert norm.training is (block is frozen_running_statistics) and norm.track_running_stats


def test_a_layer_that_keeps_its_statistics() -> None:
    norm = layer(0.5)
    keep_running_statistics(norm)
    expected = twin(norm).eval()(pictures())
    assert torch.equal(norm.train()(pictures()), expected)
    assert norm.num_batches_tracked == 0


def test_autocast_and_channels_last() -> None:
    norm, x = layer(0.5), pictures()
    start = copy.deepcopy(norm.state_dict())
    torch.manual_seed(2)
    expected = norm(x.bfloat16().float())
    norm.load_state_dict(start)
    torch.manual_seed(2)
    with torch.autocast("cpu", torch.bfloat16):
        found = norm(x.bfloat16().to(memory_format=torch.channels_last))
    assert found.dtype == torch.bfloat16 and norm.running_mean.dtype == torch.float32
    assert found.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(found.float(), expected, rtol=2**-7, atol=2**-7)


def network() -> Any:
    return nn.Sequential(nn.Conv2d(3, 6, 1), nn.BatchNorm2d(6), nn.Sequential(nn.BatchNorm2d(6), nn.ReLU()))


def test_layers_keep_their_tensors_and_names() -> None:
    net = randomize(network())
    before = dict(net.state_dict(keep_vars=True))
    assert use_stoch_norm(net, 0.25) == 2
    after = net.state_dict(keep_vars=True)
    assert list(after) == list(before) and all(after[name] is before[name] for name in before)
    assert [module.probability for module in net.modules() if isinstance(module, StochNorm2d)] == [0.25] * 2
    assert use_stoch_norm(net, 0.75) == 2 and net[1].probability == 0.75


def test_a_turned_network_is_one_built_of_such_layers() -> None:
    net = randomize(network())
    built = nn.Sequential(nn.Conv2d(3, 6, 1), StochNorm2d(6), nn.Sequential(StochNorm2d(6), nn.ReLU()))
    built.load_state_dict(net.state_dict())
    use_stoch_norm(net, 0.5)
    outputs = []
    for one in (net, built):
        torch.manual_seed(7)
        outputs.append(one(pictures(channels=3)))
    assert torch.equal(*outputs)


def test_a_copy_is_independent_and_alike() -> None:
    net = randomize(network())
    use_stoch_norm(net, 0.5)
    twins = net, copy.deepcopy(net)
    outputs = []
    for one in twins:
        torch.manual_seed(7)
        outputs.append(one(pictures(channels=3)))
    assert torch.equal(*outputs)
    assert type(twins[1][1]) is StochNorm2d and twins[1][1].running_mean is not net[1].running_mean


def test_other_layers_are_left_alone() -> None:
    kept, untracked = nn.BatchNorm2d(6), nn.BatchNorm2d(6, track_running_stats=False)
    keep_running_statistics(kept)
    others = [kept, untracked, BatchNormAct2d(6), nn.SyncBatchNorm(6), nn.BatchNorm1d(6)]
    kinds = [type(other) for other in others]
    assert use_stoch_norm(nn.Sequential(*others, nn.BatchNorm2d(6)), 0.5) == 1
    assert [type(other) for other in others] == kinds


@pytest.mark.parametrize(
    ("net", "words"),
    [
        (nn.Sequential(BatchNormAct2d(6)), "BatchNormAct2d"),
        (nn.Sequential(nn.SyncBatchNorm(6), nn.BatchNorm1d(2)), "BatchNorm1d, SyncBatchNorm"),
        (nn.Linear(2, 2), "Linear has no batch norm"),
    ],
)
def test_a_network_without_such_layers(net: Any, words: Any) -> None:
    with pytest.raises(UserError, match=words):
        use_stoch_norm(net, 0.5)


@pytest.mark.parametrize("probability", [-0.1, 1.1, float("nan")])
def test_wrong_probability(probability: Any) -> None:
    with pytest.raises(UserError, match="probability"):
        StochNorm2d(6, probability)
    with pytest.raises(UserError, match="probability"):
        use_stoch_norm(network(), probability)
