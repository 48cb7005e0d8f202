"""ManifoldMix against the network split by hand, and its hooks, which never stay."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import timm
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from torchvision.models import resnet18

from ssl_mix.errors import UserError
from ssl_mix.mixers import ManifoldMix, Mixup


class Net(nn.Module):
    """Two stages and a head, with nothing between them that a hook could miss."""

    hidden_layers = ("first", "second")

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Tanh())
        self.second = nn.Conv2d(4, 5, 3, stride=2)
        self.head = nn.Linear(5, 6)

    def features(self, images: Tensor) -> Tensor:
        return self.second(self.first(images)).relu_().mean((2, 3))

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.features(images))


class Tokens(nn.Module):
    """A network whose layer returns tokens (N, T, D)."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(3, 7)
        self.head = nn.Linear(7, 6)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.embed(images.flatten(2).transpose(1, 2)).tanh().mean(1))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch(samples: int = 5, height: int = 24, width: int = 40) -> tuple[Tensor, Tensor]:
    return torch.randn(samples, 3, height, width, generator=generator(9)), torch.arange(samples) % 6


def network(kind: Any = Net) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return kind()


def hooks(net: Any) -> int:
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in net.modules())


def lerp(values: Any, partner: Any, lam: Tensor) -> Any:
    values = values.detach().double().numpy()
    share = lam.double().numpy().reshape(-1, *[1] * (values.ndim - 1))
    return torch.from_numpy(share * values + (1 - share) * values[partner.numpy()]).float()


def below(net: Net, name: str, images: Tensor) -> tuple[Tensor, Callable[..., Any]]:
    """The network run by hand up to a layer, and from there on."""
    first = net.first(images)
    if name == "first":
        return first, lambda h: net.head(net.second(h).relu().mean((2, 3)))
    return net.second(first), lambda h: net.head(h.relu().mean((2, 3)))


@pytest.mark.parametrize("kind", [resnet18, partial(timm.create_model, "test_resnet")])
def test_networks_of_others_tell_their_stages(kind: Callable[..., nn.Module]) -> None:
    """As they come from timm and torchvision, with nothing around them."""
    net = kind(num_classes=4).eval()
    assert ManifoldMix().layer_names(net) == ["input", "layer1", "layer2"]
    with ManifoldMix(layers=[1]).applied(net, torch.rand(2, 3, 32, 32), torch.arange(2)) as mixed:
        assert net(mixed.images).shape == (2, 4)


@pytest.mark.parametrize("samples", [1, 2, 3, 65])
@pytest.mark.parametrize("name", ["first", "second"])
def test_a_hidden_layer_is_mixed_as_by_hand(name: str, samples: int) -> None:
    net = network()
    images, labels = batch(samples)
    before = images.clone()
    with ManifoldMix(layers=[name]).applied(net, images, labels, generator=generator()) as mixed:
        logits = net(mixed.images)
    hidden, rest = below(net, name, images)
    torch.testing.assert_close(logits, rest(lerp(hidden, mixed.partner, mixed.target.lam)))
    assert torch.equal(mixed.target.labels_b, labels[mixed.partner])
    assert mixed.mask is None
    assert torch.equal(images, before)
    assert hooks(net) == 0


def test_tokens_are_mixed_as_by_hand() -> None:
    net = network(Tokens)
    images, labels = batch()
    with ManifoldMix(layers=("embed",)).applied(net, images, labels, generator=generator()) as mixed:
        logits = net(mixed.images)
    hidden = net.embed(images.flatten(2).transpose(1, 2))
    expected = net.head(lerp(hidden, mixed.partner, mixed.target.lam).tanh().mean(1))
    torch.testing.assert_close(logits, expected)


def test_the_input_layer_is_mixup() -> None:
    net = network().eval()
    images, labels = batch()
    pictures, target = Mixup(2.0)(images, labels, generator=generator())
    for layer in ("input", 0):
        with ManifoldMix(layers=[layer]).applied(net, images, labels, generator=generator()) as mixed:
            assert hooks(net) == 0
        assert torch.equal(mixed.images, pictures)
        assert all(torch.equal(one, other) for one, other in zip(mixed.target, target, strict=True))
    logits, lam = ManifoldMix(layers=["input"]).mix(images, images.flip(0), net=net, lam=0.3)
    torch.testing.assert_close(logits, net(0.3 * images + 0.7 * images.flip(0)))
    assert torch.equal(lam, torch.full((5,), 0.3))


@pytest.mark.parametrize("name", ["first", "second"])
def test_two_batches(name: str) -> None:
    net = network().eval()
    images, _ = batch()
    other = torch.randn(images.shape, generator=generator(4))
    share = torch.rand(5, generator=generator(5))
    logits, lam = ManifoldMix(layers=[name]).mix(images, other, net=net, lam=share)
    (a, rest), (b, _) = below(net, name, images), below(net, name, other)
    both = torch.cat((a, b))
    expected = rest(lerp(both, torch.arange(10).roll(-5), torch.cat((share, share)))[:5])
    torch.testing.assert_close(logits, expected)
    assert torch.equal(lam, share)


def test_calling_it_makes_one_forward_pass() -> None:
    net = network()
    images, labels = batch()
    mixer = ManifoldMix(layers=["second"])
    logits, target = mixer(images, labels, net=net, generator=generator())
    assert net.first[1].num_batches_tracked == 1
    with mixer.applied(net, images, labels, generator=generator()) as mixed:
        torch.testing.assert_close(net(mixed.images), logits)
    assert torch.equal(mixed.target.lam, target.lam)


def test_gradient_reaches_both_sides() -> None:
    net = network()
    images, labels = batch(2)
    images.requires_grad_()
    # With this permutation of two, the first row is made of both images.
    mixer = ManifoldMix(layers=["first"])
    for seed in range(20):
        with mixer.applied(net, images, labels, generator=generator(seed)) as mixed:
            logits = net(mixed.images)
        if mixed.partner[0] == 1:
            break
    (gradient,) = torch.autograd.grad(logits[0].sum(), images)
    assert (gradient.abs().amax((1, 2, 3)) > 0).all()


def test_partial_calls_count() -> None:
    net = network()
    with ManifoldMix(layers=["first"]).applied(net, *batch(), generator=generator()) as mixed:
        features = net.features(mixed.images)
    hidden = lerp(net.first(mixed.images), mixed.partner, mixed.target.lam)
    torch.testing.assert_close(features, net.second(hidden).relu().mean((2, 3)))


def test_every_layer_is_drawn_as_often() -> None:
    net = network()
    images, labels = batch(1, 2, 2)
    stream, counts = generator(), {"input": 0, "first": 0, "second": 0}
    for _ in range(300):
        try:
            with ManifoldMix().applied(net, images, labels, generator=stream):
                marked = [name for name in ("first", "second") if getattr(net, name)._forward_hooks]
                counts[marked[0] if marked else "input"] += 1
        except UserError:
            pass  # the network was not run
    assert min(counts.values()) > 70  # 300 draws of 1/3 fall below with chance 1e-4


def test_numbers_count_from_the_input() -> None:
    net = network()
    assert ManifoldMix(layers=[0, 1, 2]).layer_names(net) == ["input", "first", "second"]
    assert ManifoldMix().layer_names(AveragedModel(net)) == ["input", "first", "second"]
    with pytest.raises(UserError, match="0..2"):
        ManifoldMix(layers=[3]).layer_names(net)


def test_low_precision_does_not_round_lam() -> None:
    """lam = 0.5 + 2^-12 is not a bfloat16: rounded, 4096 a - 4096 b would give 0 instead of 2."""
    net = nn.Sequential(nn.Identity())
    a, b = (torch.full((1, 1, 1, 1), value, dtype=torch.bfloat16) for value in (4096.0, -4096.0))
    logits, _ = ManifoldMix(layers=["0"]).mix(a, b, net=net, lam=0.5 + 2**-12)
    assert logits.dtype == torch.bfloat16
    assert logits.item() == 2.0


def test_autocast() -> None:
    net = network().eval()
    images, labels = batch()
    with torch.autocast("cpu", torch.bfloat16):
        logits, _ = ManifoldMix(layers=["second"])(images, labels, net=net, generator=generator())
    exact, _ = ManifoldMix(layers=["second"])(images, labels, net=net, generator=generator())
    assert logits.dtype == torch.bfloat16
    np.testing.assert_allclose(logits.detach().float(), exact.detach(), atol=0.02)


def test_hooks_are_removed_after_an_exception() -> None:
    net = network()
    with (
        pytest.raises(ZeroDivisionError),
        ManifoldMix(layers=["first"]).applied(net, *batch(), generator=generator()),
    ):
        assert hooks(net) == 1
        raise ZeroDivisionError
    assert hooks(net) == 0


@pytest.mark.parametrize("runs", [0, 2])
def test_a_layer_that_does_not_run_once(runs: int) -> None:
    net = network()
    expected = {0: "never ran", 2: "ran twice"}[runs]
    with (
        pytest.raises(UserError, match=expected),
        ManifoldMix(layers=["first"]).applied(net, *batch(), generator=generator()) as mixed,
    ):
        for _ in range(runs):
            net(mixed.images)
    assert hooks(net) == 0


def test_compiled_networks_are_refused() -> None:
    """A hook that is there while the network is traced would stay in what is compiled."""
    whole, in_place, inside = network(), network(), network()
    in_place.compile(backend="eager")
    inside.second = torch.compile(inside.second, backend="eager")
    for net in (torch.compile(whole, backend="eager"), in_place, inside):
        with pytest.raises(UserError, match="compile"):
            ManifoldMix(layers=["first"])(*batch(), net=net)


class Odd(nn.Module):
    """Layers that cannot be mixed: a tuple, and one row for the whole batch."""

    def __init__(self) -> None:
        super().__init__()
        self.pair, self.sum = Odd.Pair(), Odd.Sum()

    class Pair(nn.Module):
        def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
            return images, images

    class Sum(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images.sum(0, keepdim=True)

    def forward(self, images: Tensor) -> Any:
        return self.sum(self.pair(images)[0])


@pytest.mark.parametrize("name, message", [("pair", "a tuple"), ("sum", "one row per image")])
def test_outputs_that_cannot_be_mixed(name: str, message: str) -> None:
    net = Odd()
    mixer = ManifoldMix(layers=[name])
    with pytest.raises(UserError, match=message):
        mixer(*batch(), net=net, generator=generator())
    with pytest.raises(UserError, match=message):
        mixer.mix(*[batch()[0]] * 2, net=net, generator=generator())
    assert hooks(net) == 0


def test_mistakes_are_named() -> None:
    images, labels = batch()
    net = network()
    with pytest.raises(UserError, match="net="):
        ManifoldMix()(images, labels)
    with pytest.raises(UserError, match="net="):
        ManifoldMix().mix(images, images)
    with pytest.raises(UserError, match=r'embed, head|layers=\("input"'):
        ManifoldMix().prepare(Tokens(), (3, 24, 40))
    with pytest.raises(UserError, match="'frist'.*'first'"):
        ManifoldMix(layers=["frist"]).prepare(net, (3, 24, 40))
    with pytest.raises(UserError, match="applied"):
        ManifoldMix().mix_batch(images, labels, net=net)
    for layers in ((), "input", 2, 1.5, {"input"}, [1.5], [None]):
        with pytest.raises(UserError, match="layers"):
            ManifoldMix(layers=layers)
    with pytest.raises(UserError, match="float"):
        ManifoldMix(layers=["first"])(images.byte(), labels, net=net)
