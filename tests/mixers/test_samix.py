"""What SAMix and AutoMix learn: on images of an object at a random place, masks keep more of the objects than
of the rest."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssl_mix.mixers import AutoMix, CutMix, SAMix
from ssl_mix.types import MixedTarget

SIDE, OBJECT, CLASSES = 24, 8, 4
NOISE, SAMPLES = 2.0, 48


class Net(nn.Module):
    hidden_layers = ("one", "two", "three")

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.three = (
            nn.Sequential(nn.Conv2d(i, o, 3, stride, 1, bias=False), nn.BatchNorm2d(o), nn.ReLU())
            for i, o, stride in ((3, 16, 2), (16, 32, 2), (32, 32, 1))
        )
        self.head = nn.Linear(32, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.three(self.two(self.one(images))).mean((2, 3)))


def scenes(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Noise with a square of its class's color at a random place: images, classes and where the object is."""
    labels = torch.randint(CLASSES, (count,), generator=generator)
    colors = torch.tensor([[2.0, 0, 0], [0, 2, 0], [0, 0, 2], [-2, 0, 0]])[labels][:, :, None, None]
    corner = torch.randint(SIDE - OBJECT + 1, (2, count, 1), generator=generator)
    rows, columns = (
        (torch.arange(SIDE) >= start) & (torch.arange(SIDE) < start + OBJECT) for start in corner
    )
    inside = (rows[:, :, None] & columns[:, None, :])[:, None]
    noise = NOISE * torch.randn(count, 3, SIDE, SIDE, generator=generator)
    return noise + colors * inside, labels, inside


def mixed_loss(logits: Tensor, target: MixedTarget) -> Tensor:
    return -(F.log_softmax(logits, 1) * target.dense(CLASSES)).sum(1).mean()


def trained_encoder(generator: torch.Generator) -> Net:
    """A network that has seen whole and cut scenes, as a student of a mixer has."""
    net = Net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    for _ in range(80):
        images, labels, _ = scenes(SAMPLES, generator)
        mixed, target = CutMix()(images, labels, generator=generator)
        loss = F.cross_entropy(net(images), labels) + mixed_loss(net(mixed), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return net.eval()


def concentration(mixer: Any, net: Net) -> list[float]:
    """Share of the kept weight that lies inside the object, over the share of area of the object; of a and of
    b."""
    generator = torch.Generator().manual_seed(5)
    images, labels, inside = scenes(256, generator)
    batch = mixer.mix_batch(images, labels, net=net, generator=generator)
    found = []
    for kept, where in ((batch.mask, inside), (1 - batch.mask, inside[batch.partner])):
        share = (kept * where).sum((1, 2, 3)) / kept.sum((1, 2, 3))
        found.append(share.mean().item() / (OBJECT / SIDE) ** 2)
    return found


@pytest.fixture(scope="module")
def encoder() -> Net:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = trained_encoder(torch.Generator().manual_seed(0))
    images, labels, _ = scenes(256, torch.Generator().manual_seed(6))
    assert (net(images).argmax(1) == labels).float().mean() > 0.95
    return net


@pytest.mark.parametrize("kind", [SAMix, AutoMix])
def test_masks_find_the_object(kind: Any, encoder: Net) -> None:
    """The share of weight inside objects is that of their area before training, and more after it.

    AutoMix sees b's object only through what a's places attend to, not where it lies: it is held to a's
    object alone.
    """
    generator = torch.Generator().manual_seed(1)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        mixer = kind()
        mixer.prepare(encoder, (3, SIDE, SIDE))
    before = concentration(mixer, encoder)
    assert before == pytest.approx([1, 1], abs=0.08)
    optimizer = torch.optim.SGD(mixer.parameters(), lr=0.1, momentum=0.9)
    for _ in range(200):
        images, labels, _ = scenes(SAMPLES, generator)
        optimizer.zero_grad()
        mixer.mix_batch(images, labels, net=encoder, generator=generator).loss.backward()
        optimizer.step()
    after = concentration(mixer, encoder)
    if kind is SAMix:
        assert min(after) > 1.15
    else:
        assert after[0] > 1.1
