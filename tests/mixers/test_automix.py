"""AutoMix and what it shares with SAMix: masks, lam, who gets a gradient, and what is left of the encoder."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from ssl_mix.errors import UserError
from ssl_mix.mixers import AutoMix, SAMix


class Net(nn.Module):
    """Three stages, batch norm, dropout and an in-place ReLU behind the stage that is looked at."""

    hidden_layers = ("one", "two", "three")

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Sequential(nn.Conv2d(3, 6, 3, 2, 1), nn.BatchNorm2d(6), nn.ReLU())
        self.two = nn.Conv2d(6, 8, 3, 2, 1)
        self.act = nn.ReLU(inplace=True)
        self.three = nn.Conv2d(8, 8, 3, 2, 1)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(8, 5)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.drop(self.three(self.act(self.two(self.one(images)))).mean((2, 3))))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch(samples: int = 6, height: int = 24, width: int = 40) -> tuple[Tensor, Tensor]:
    return torch.randn(samples, 3, height, width, generator=generator(9)), torch.arange(samples) % 5


def network() -> Net:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return Net()


def prepared(mixer: Any, net: Any) -> Any:
    """A block with weights large enough for masks that vary."""
    with torch.random.fork_rng():
        torch.manual_seed(4)
        mixer.prepare(net, (3, 24, 40))
        for parameter in mixer.parameters():
            nn.init.normal_(parameter, 0, 0.7)
    return mixer


@pytest.fixture(params=[AutoMix, SAMix])
def mixer(request: Any) -> Any:
    return request.param


def numpy_mask(kind: Any, block: Any, maps_a: Tensor, maps_b: Tensor, lam: float) -> NDArray[Any]:
    """The mask before upsampling, one sample in NumPy float64; ``lam`` one number."""

    def weights(layer: nn.Conv2d) -> tuple[NDArray[Any], NDArray[Any]]:
        matrix = layer.weight.detach().double().numpy()
        return matrix.reshape(len(matrix), -1), layer.bias.detach().double().numpy()[:, None]

    def project(layer: nn.Conv2d, values: NDArray[Any]) -> NDArray[Any]:
        matrix, bias = weights(layer)
        return matrix @ values + bias

    def rescaled(share: float) -> float:
        return (4 / 3 * share**3 - 2 * share**2 + 1.25 * share) / (1.25 - 2 / 3)

    a, b = (maps.detach().double().numpy().reshape(len(maps), -1) for maps in (maps_a, maps_b))
    if kind is AutoMix:
        ones = np.ones((1, a.shape[1]))
        a, b = np.concatenate((a, lam * ones)), np.concatenate((b, (1 - lam) * ones))
        query, key, value = project(block.query, a), project(block.query, b), project(block.value, b)
    else:
        a, b = a * (1 + rescaled(lam)), b * (1 + rescaled(1 - lam))
        both = np.concatenate((a, b))
        query, key = project(block.query, both), project(block.key, both)
        value = project(block.value[2], np.maximum(project(block.value[0], b), 0))
    scores = query.T @ key / np.sqrt(len(query))
    powers = np.exp(scores - scores.max(1, keepdims=True))
    return (powers / powers.sum(1, keepdims=True)) @ value[0]


def test_masks_are_those_of_numpy(mixer: Any) -> None:
    block, kind = prepared(mixer(), network()).block, mixer
    maps_a, maps_b = torch.randn(2, 2, 8, 6, 10, generator=generator()).unbind(0)
    lam = torch.tensor([0.3, 0.8])
    mask = block(maps_a, maps_b, lam, (24, 40)).detach()
    for row in range(2):
        found = numpy_mask(kind, block, maps_a[row], maps_b[row], lam[row].item()).reshape(6, 10)
        if kind is AutoMix:
            expected = 1 / (1 + np.exp(found.repeat(4, 0).repeat(4, 1)))
        else:
            smooth = F.interpolate(torch.from_numpy(found)[None, None], (24, 40), mode="bilinear")
            expected = 1 / (1 + np.exp(smooth[0, 0].numpy()))
        np.testing.assert_allclose(mask[row, 0].numpy(), expected, atol=2e-5)
    assert mask.std() > 0.05


@pytest.mark.parametrize("samples", [1, 2, 3, 65])
def test_lam_is_the_pixel_share(mixer: Any, samples: int) -> None:
    """A white image mixed with a black one: its mean is lam."""
    net = network()
    mixer = prepared(mixer(), net)
    ones, zeros = torch.ones(samples, 3, 24, 40), torch.zeros(samples, 3, 24, 40)
    mixed, lam = mixer.mix(ones, zeros, net=net, generator=generator())
    torch.testing.assert_close(mixed.mean((1, 2, 3)), lam)
    images, labels = batch(samples)
    mixed = mixer.mix_batch(images, labels, net=net, generator=generator())
    torch.testing.assert_close(mixed.mask.mean((1, 2, 3)), mixed.target.lam)
    assert torch.equal(mixed.target.labels_b, labels[mixed.partner])
    partner = images[mixed.partner]
    torch.testing.assert_close(mixed.images, mixed.mask * images + (1 - mixed.mask) * partner)
    assert mixed.loss.shape == ()


def test_near_zero_and_one_the_block_is_left_out(mixer: Any) -> None:
    net = network()
    mixer = prepared(mixer(), net)
    images, _ = batch(4)
    asked = torch.tensor([0.05, 0.5, 0.95, 0.0])
    mixed, lam = mixer.mix(images, images.flip(0), net=net, lam=asked)
    assert torch.allclose(lam[[0, 2, 3]], asked[[0, 2, 3]])
    assert abs(lam[1] - 0.5) > 1e-3
    torch.testing.assert_close(mixed[0], 0.05 * images[0] + 0.95 * images[3])


def test_the_lesson(mixer: Any) -> None:
    """Its two terms by hand, from the masks that the block makes for the second draw."""
    net = network().eval()
    mixer = prepared(mixer(), net)
    images, labels = batch()
    kept: dict[Any, Any] = {}
    mixer.block.register_forward_hook(
        lambda _, inputs, mask: kept.update(lam=inputs[2], mask=mask, b=inputs[1])
    )
    loss = mixer.mix_batch(images, labels, net=net, generator=generator()).loss
    lam, mask = kept["lam"], kept["mask"].detach()
    maps = net.two(net.one(images))
    distance = (kept["b"][:, None] - maps[None]).abs().sum((2, 3, 4))
    partner = distance.argmin(1)
    assert distance.amin(1).max() < 1e-3
    log_p = F.log_softmax(net(mask * images + (1 - mask) * images[partner]), 1).double().detach().numpy()
    rows = np.arange(6)
    weight, share = lam.double().numpy(), mask.double().mean((1, 2, 3)).numpy()
    expected = -(weight * log_p[rows, labels] + (1 - weight) * log_p[rows, labels[partner]]).mean()
    cost = np.maximum(np.abs(share - weight) - 0.1, 0)
    if isinstance(mixer, SAMix):
        cost = cost - 2 * mask.double().numpy().reshape(6, -1).var(1)
    assert loss.item() == pytest.approx(expected + 0.1 * cost.mean(), abs=1e-5)


def test_only_the_block_learns(mixer: Any) -> None:
    student = network()
    encoder = AveragedModel(student)
    mixer = prepared(mixer(), encoder)
    images, labels = batch()
    mixed = mixer.mix_batch(images, labels, net=encoder, generator=generator())
    assert not mixed.images.requires_grad and not mixed.target.lam.requires_grad
    mixed.loss.backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in mixer.parameters())
    assert all(parameter.grad is None for net in (encoder, student) for parameter in net.parameters())
    before = [parameter.grad.clone() for parameter in mixer.parameters()]
    F.cross_entropy(student(mixed.images), labels).backward()
    assert all(torch.equal(p.grad, was) for p, was in zip(mixer.parameters(), before, strict=True))
    assert all(parameter.grad is not None for parameter in student.parameters())


def test_the_encoder_is_left_as_it_was(mixer: Any) -> None:
    net = network()
    net.two.eval()
    net.head.weight.requires_grad_(False)
    before = copy.deepcopy(net)
    mixer = prepared(mixer(), net)
    images, labels = batch()
    untouched = images.clone()
    mixer.mix_batch(images, labels, net=net, generator=generator())
    assert torch.equal(images, untouched)
    for (name, value), was in zip(net.state_dict().items(), before.state_dict().values(), strict=True):
        assert torch.equal(value, was), name
    modules = list(zip(net.modules(), before.modules(), strict=True))
    assert [one.training for one, _ in modules] == [other.training for _, other in modules]
    assert [p.requires_grad for p in net.parameters()] == [p.requires_grad for p in before.parameters()]
    assert sum(len(module._forward_hooks) for module in net.modules()) == 0


def test_the_encoder_is_left_as_it_was_after_an_exception() -> None:
    net: Any = network()
    mixer = prepared(AutoMix(), net)
    images, labels = batch()
    with pytest.raises(RuntimeError):
        mixer.mix_batch(images[:, :2], labels, net=net)
    net.head = nn.Identity()  # no classes: the lesson fails
    with pytest.raises(UserError, match="labels"):
        mixer.mix_batch(images, labels + 20, net=net)
    assert all(module.training for module in net.modules())
    assert all(parameter.requires_grad for parameter in net.parameters())
    assert sum(len(module._forward_hooks) for module in net.modules()) == 0


def test_the_generator_decides_everything(mixer: Any) -> None:
    net = network()
    mixer = prepared(mixer(), net)
    images, labels = batch()
    state = torch.get_rng_state()
    first, again, other = (
        mixer.mix_batch(images, labels, net=net, generator=generator(seed)) for seed in (0, 0, 1)
    )
    assert torch.equal(state, torch.get_rng_state())
    assert torch.equal(first.images, again.images) and torch.equal(first.loss, again.loss)
    assert not torch.equal(first.images, other.images) and not torch.equal(first.loss, other.loss)
    mixed, target = mixer(images, labels, net=net, generator=generator(0))
    assert torch.equal(mixed, first.images) and torch.equal(target.lam, first.target.lam)


def test_autocast(mixer: Any) -> None:
    net = network()
    mixer = prepared(mixer(), net)
    images, labels = batch()
    exact = mixer.mix_batch(images, labels, net=net, generator=generator())
    with torch.autocast("cpu", torch.bfloat16):
        rough = mixer.mix_batch(images, labels, net=net, generator=generator())
    assert rough.mask.dtype == rough.target.lam.dtype == rough.images.dtype == torch.float32
    torch.testing.assert_close(rough.mask, exact.mask, atol=0.05, rtol=0)
    torch.testing.assert_close(rough.loss, exact.loss, atol=0.05, rtol=0)
    torch.testing.assert_close(rough.mask.mean((1, 2, 3)), rough.target.lam)


@pytest.mark.parametrize(
    ("pictures", "weights"), [(torch.bfloat16, torch.float32), (torch.float32, torch.bfloat16)]
)
def test_pictures_and_encoder_of_different_precision(
    mixer: Any, pictures: torch.dtype, weights: torch.dtype
) -> None:
    """The encoder sees the images in its own dtype, and they come back in theirs."""
    net = network()
    mixer = prepared(mixer(), net)
    images, labels = batch()
    images = images.bfloat16().float()
    exact = mixer.mix_batch(images, labels, net=net, generator=generator())
    rough = mixer.mix_batch(images.to(pictures), labels, net=net.to(weights), generator=generator())
    assert (rough.images.dtype, rough.mask.dtype) == (pictures, torch.float32)
    torch.testing.assert_close(rough.mask, exact.mask, atol=0.05, rtol=0)
    torch.testing.assert_close(rough.loss, exact.loss, atol=0.05, rtol=0)
    rough.loss.backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in mixer.parameters())
    mixed, _ = mixer.mix(images.to(pictures), images.flip(0).to(pictures), net=net)
    assert mixed.dtype == pictures


def test_the_default_layer_is_the_last_but_one() -> None:
    net = network()
    assert AutoMix().layer_name(AveragedModel(net)) == "two"
    assert AutoMix(layer="one").layer_name(net) == "one"


def test_features_come_from_inside_wrappers() -> None:
    """The same from a plain, an averaged and a compiled encoder."""
    net = network()
    mixer = prepared(AutoMix(), net)
    images, labels = batch()
    results = [
        mixer(images, labels, net=encoder, generator=generator())[0]
        for encoder in (net, AveragedModel(net), torch.compile(net, backend="eager"))
    ]
    assert torch.equal(results[0], results[1]) and torch.equal(results[0], results[2])


def test_given_channels_need_no_preparation() -> None:
    net = network()
    mixer = AutoMix(layer="one", channels=6)
    assert mixer.mix_batch(*batch(), net=net).mask.shape == (6, 1, 24, 40)


def test_preparing_twice_keeps_the_block() -> None:
    net = network()
    mixer = AutoMix()
    mixer.prepare(net, (3, 24, 40))
    block = mixer.block
    mixer.prepare(net, (3, 32, 32))
    assert mixer.block is block
    mixer.layer = "one"
    with pytest.raises(UserError, match="8 channels.*has 6"):
        mixer.prepare(net, (3, 24, 40))


class Tokens(nn.Module):
    """A layer without maps."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(3, 4)

    def forward(self, images: Tensor) -> Any:
        return self.embed(images.flatten(2).transpose(1, 2)).mean(1)


def test_mistakes_are_named() -> None:
    net, (images, labels) = network(), batch()
    with pytest.raises(UserError, match="prepare"):
        AutoMix()(images, labels, net=net)
    with pytest.raises(UserError, match="net="):
        AutoMix(channels=8)(images, labels)
    with pytest.raises(UserError, match="net="):
        AutoMix(channels=8).mix(images, images)
    with pytest.raises(UserError, match="hidden_layers"):
        AutoMix().prepare(Tokens(), (3, 24, 40))
    with pytest.raises(UserError, match=r"'embed' must give feature maps"):
        AutoMix(layer="embed").prepare(Tokens(), (3, 24, 40))
    with pytest.raises(UserError, match="7 channels, got 8"):
        AutoMix(channels=7)(images, labels, net=net)
    with pytest.raises(UserError, match="float"):
        AutoMix(channels=8)(images.byte(), labels, net=net)
    for wrong in (
        {"alpha": 0},
        {"lam_margin": -1},
        {"mask_weight": -1},
        {"mask_margin": -1},
        {"channels": 0},
    ):
        with pytest.raises(UserError, match=next(iter(wrong))):
            AutoMix(**wrong)
