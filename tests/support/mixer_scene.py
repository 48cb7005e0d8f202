"""What every mixer is tried with.

Mixers of hidden layers have no mixed image and are tested on their own. Those that ask for the importance of
the pixels get random numbers, those that ask for a network a small one.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from ssl_mix.mixers import MIXERS, CutMix, Mixup, Pair, RandomMixer, TokenMixup, build_mixer
from ssl_mix.mixers.mixer import Mixed, Mixer
from ssl_mix.models import adapt, build_model

BUILDERS: dict[str, Callable[[], Mixer]] = {name: partial(build_mixer, name) for name in MIXERS}
BUILDERS["random"] = lambda: RandomMixer({Mixup(): 1, CutMix(): 2}, prob=0.8)
NAMES = [name for name, build in BUILDERS.items() if not build().hidden]
MIX = pytest.mark.parametrize("name", NAMES)

# What is mixed is content and style, so lam is no share of the pixels.
STYLED = {"stylemix", "stylecutmix"}
BY_PIXEL = pytest.mark.parametrize("name", [name for name in NAMES if name not in STYLED])
# The labels of a batch follow what a network sees of the classes.
BY_MEANING = STYLED | {"snapmix", "tokenmix"}

# Shortest side in pixels, where that is not 1.
SMALLEST = {"patchshuffle": 16}

SHAPE = (6, 3, 24, 40)
SHAPES = [SHAPE, (1, 3, 24, 40), (2, 1, 33, 17), (3, 3, 32, 32)]
GIVEN = [None, 0.0, 0.37, 1.0, "per sample"]


class Net(nn.Module):
    """Three stages and a head."""

    hidden_layers = ("one", "two", "three")

    def __init__(self, colors: int) -> None:
        super().__init__()
        self.one = nn.Conv2d(colors, 6, 3, 2, 1)
        self.two = nn.Conv2d(6, 8, 3, 2, 1)
        self.three = nn.Conv2d(8, 8, 3, 1, 1)
        self.head = nn.Linear(8, 65)

    def features(self, images: Tensor) -> Any:
        return self.three(self.two(self.one(images).relu()).relu()).mean((2, 3))

    def forward(self, images: Tensor) -> Any:
        return self.head(self.features(images))


def net_for(mixer: Mixer, classes: int) -> nn.Module:
    """A small network for 32 pixels that the mixer can ask: a transformer for TokenMixup."""
    if not isinstance(mixer, TokenMixup):
        return build_model("small-cnn", classes)
    return adapt(VisionTransformer(32, 8, embed_dim=16, depth=2, num_heads=2, num_classes=classes))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(
    shape: tuple[int, int, int, int] = SHAPE, dtype: torch.dtype = torch.float32, seed: int = 1
) -> Tensor:
    images = torch.rand(shape, generator=generator(seed))
    return (images * 255).to(dtype) if dtype == torch.uint8 else images.to(dtype)


def build(name: str, nets: dict[int, Net], shape: Any = SHAPE) -> Any:
    mixer = BUILDERS[name]()
    mixer.prepare(nets[shape[1]], shape[1:])
    return mixer


def pair_for(mixer: Any, images_a: Tensor, images_b: Tensor, nets: dict[int, Net]) -> Pair:
    """Two batches with what the mixer needs."""
    shape = (len(images_a), *images_a.shape[2:])
    if "saliency" not in mixer.needs:
        return Pair(images_a, images_b, None, None, nets[images_a.shape[1]])
    one, other = (torch.rand(shape, generator=generator(seed)) + 0.01 for seed in (11, 12))
    return Pair(
        images_a, images_b, one.to(images_a.device), other.to(images_a.device), nets[images_a.shape[1]]
    )


def mix(
    mixer: Any,
    images_a: Tensor,
    images_b: Tensor,
    nets: dict[int, Net],
    lam: Tensor | float | None = None,
    seed: int = 0,
) -> Any:
    """The mixed images, lam, and the mask."""
    return mixer.blend(pair_for(mixer, images_a, images_b, nets), lam, generator(seed))


def given_lam(lam: Any, samples: int) -> Any:
    return torch.rand(samples, generator=generator(3)) if lam == "per sample" else lam


def check_share(mixed: Mixed) -> None:
    """The mean of an image of ones and zeros is lam: the very count of pixels, or to 1e-6 where they are
    blended."""
    mean = mixed.images.double().mean(dim=(1, 2, 3))
    assert (mixed.lam.dtype, mixed.lam.shape) == (torch.float32, mean.shape)
    if mixed.mask.dtype == torch.bool:
        pixels = mixed.images[0, 0].numel()
        assert torch.equal((mixed.lam.double() * pixels).round(), (mean * pixels).round())
        assert (mixed.lam.double() - mean).abs().max() <= torch.finfo(torch.float32).eps / 2
    else:
        assert (mixed.lam.double() - mean).abs().max() <= 1e-6
