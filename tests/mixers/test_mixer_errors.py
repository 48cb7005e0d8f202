"""Wrong arguments raise a ValueError that names the argument or the remedy."""

import dataclasses

import pytest
import torch

from ssl_mix.errors import UserError
from ssl_mix.mixers import CutMix, Mixup

IMAGES = torch.zeros(4, 3, 8, 6)
LABELS = torch.arange(4)
BOTH = pytest.mark.parametrize("mixer", [Mixup(), CutMix()])


@pytest.mark.parametrize("mixer", [Mixup, CutMix])
@pytest.mark.parametrize("alpha", [0.0, -1.0, float("nan"), float("inf")])
def test_alpha(mixer, alpha):
    with pytest.raises(UserError, match="alpha"):
        mixer(alpha=alpha)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64])
def test_mixup_refuses_integers_and_says_what_to_do(dtype):
    for call in (lambda images: Mixup()(images, LABELS), lambda images: Mixup().mix(images, images)):
        with pytest.raises(UserError, match=str(dtype)) as caught:
            call(IMAGES.to(dtype))
        assert "float" in str(caught.value)


@BOTH
@pytest.mark.parametrize("images", [IMAGES[0], IMAGES[:, 0], IMAGES[:, None]])
def test_images_without_four_axes(mixer, images):
    with pytest.raises(UserError, match="image"):
        mixer(images, torch.zeros(len(images), dtype=torch.int64))
    with pytest.raises(UserError, match="image"):
        mixer.mix(images, images)


@BOTH
@pytest.mark.parametrize("partner", [IMAGES[:3], IMAGES[:, :1], IMAGES[..., :5], IMAGES[:1], IMAGES.double()])
def test_pairs_that_differ_in_shape_or_dtype(mixer, partner):
    with pytest.raises(UserError, match="image"):
        mixer.mix(IMAGES, partner)


@BOTH
@pytest.mark.parametrize(
    "labels", [LABELS[:3], LABELS.float(), LABELS[:, None], torch.eye(4), torch.tensor(1), LABELS.repeat(2)]
)
def test_labels(mixer, labels):
    with pytest.raises(UserError, match="labels"):
        mixer(IMAGES, labels)


@BOTH
@pytest.mark.parametrize(
    "lam", [torch.zeros(3), torch.zeros(4, 1), torch.zeros(1), 1.5, -0.1, float("nan")], ids=str
)
def test_lam(mixer, lam):
    with pytest.raises(UserError, match="lam"):
        mixer.mix(IMAGES, IMAGES, lam=lam)


@pytest.mark.parametrize("mixer", [Mixup, CutMix])
def test_mixers_are_values(mixer):
    assert mixer(0.2) == mixer(alpha=0.2) != mixer() == mixer(1.0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        mixer().alpha = 2.0
