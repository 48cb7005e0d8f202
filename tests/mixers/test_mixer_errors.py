"""Wrong arguments raise a ValueError that names the argument or the remedy."""

import dataclasses
import inspect
from typing import Any

import pytest
import torch
from torch import Tensor

from ssl_mix.errors import UserError
from ssl_mix.mixers import MIXERS, CutMix, Mixer, Mixup, build_mixer

IMAGES = torch.zeros(4, 3, 24, 16)
LABELS = torch.arange(4)
ALPHA = [name for name, mixer in MIXERS.items() if "alpha" in inspect.signature(mixer).parameters]
# Those that take nothing but images: what is wrong with the images is the first thing that is wrong.
PLAIN = [name for name in MIXERS if not build_mixer(name).needs and not build_mixer(name).hidden]
EACH = pytest.mark.parametrize("mixer", [build_mixer(name) for name in PLAIN], ids=PLAIN)


@pytest.mark.parametrize("mixer", [MIXERS[name] for name in ALPHA], ids=ALPHA)
@pytest.mark.parametrize("alpha", [0.0, -1.0, float("nan"), float("inf")])
def test_alpha(mixer: Any, alpha: float) -> None:
    with pytest.raises(UserError, match="alpha"):
        mixer(alpha=alpha)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64])
def test_mixup_refuses_integers_and_says_what_to_do(dtype: torch.dtype) -> None:
    for call in (lambda images: Mixup()(images, LABELS), lambda images: Mixup().mix(images, images)):
        with pytest.raises(UserError, match=str(dtype)) as caught:
            call(IMAGES.to(dtype))
        assert "float" in str(caught.value)


@EACH
@pytest.mark.parametrize("images", [IMAGES.flatten(), IMAGES[:, 0, 0], IMAGES[:, 0], IMAGES[:, None]])
def test_images_without_the_axes_that_a_mixer_takes(mixer: Mixup, images: Tensor) -> None:
    if images.ndim > 1 and images.ndim in (mixer.axes or (images.ndim,)):
        assert mixer.mix(images, images)[0].shape == images.shape
        return
    with pytest.raises(UserError, match="image"):
        mixer(images, torch.zeros(len(images), dtype=torch.int64))
    with pytest.raises(UserError, match="image"):
        mixer.mix(images, images)


@EACH
@pytest.mark.parametrize("partner", [IMAGES[:3], IMAGES[:, :1], IMAGES[..., :5], IMAGES[:1], IMAGES.double()])
def test_pairs_that_differ_in_shape_or_dtype(mixer: Any, partner: Tensor) -> None:
    with pytest.raises(UserError, match="image"):
        mixer.mix(IMAGES, partner)


@EACH
@pytest.mark.parametrize(
    "labels",
    [
        LABELS[:3],
        LABELS.float(),
        LABELS[:, None],
        torch.eye(3),
        2 * torch.eye(4),
        torch.tensor(1),
        [0, 1, 2, 3],
    ],
)
def test_labels(mixer: Mixup, labels: Tensor) -> None:
    with pytest.raises(UserError, match="labels"):
        mixer(IMAGES, labels)


@EACH
@pytest.mark.parametrize(
    "lam",
    [torch.zeros(3), torch.zeros(4, 1), torch.zeros(1), 1.5, -0.1, float("nan"), [0.5] * 4, "0.5"],
    ids=str,
)
def test_lam(mixer: Any, lam: Tensor | float) -> None:
    with pytest.raises(UserError, match="lam"):
        mixer.mix(IMAGES, IMAGES, lam=lam)


@pytest.mark.parametrize("mixer", [MIXERS[name] for name in ALPHA], ids=ALPHA)
def test_mixers_are_values(mixer: Any) -> None:
    if not dataclasses.is_dataclass(mixer):
        pytest.skip("it has weights")
    assert mixer(alpha=0.25) == mixer(alpha=0.25) != mixer(alpha=0.75)
    assert len({mixer(alpha=0.25), mixer(alpha=0.25), mixer(alpha=0.75)}) == 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        mixer().alpha = 2.0


def test_a_mixer_without_alpha_is_built_without() -> None:
    assert isinstance(build_mixer("smoothmix"), Mixer)
    with pytest.raises(UserError, match="'smoothmix' has no alpha"):
        build_mixer("smoothmix", 0.5)


@pytest.mark.parametrize("lam", [1.5, -0.5, float("nan"), float("inf")])
def test_lam_beyond_its_range_is_refused_as_a_number_and_in_a_tensor(lam: float) -> None:
    images = torch.rand(4, 1, 8, 8)
    for given in (lam, torch.tensor([0.5, lam, 0.5, 0.5])):
        with pytest.raises(UserError, match=r"lam.*\[0, 1\]"):
            Mixup().mix(images, images.flip(0), lam=given)


def test_lam_gets_no_gradient() -> None:
    images, asked = torch.rand(4, 1, 8, 8), torch.full((4,), 0.5, requires_grad=True)
    assert not Mixup().mix(images, images.flip(0), lam=asked)[1].requires_grad


def test_an_empty_batch_is_refused() -> None:
    with pytest.raises(UserError, match="empty"):
        CutMix()(torch.zeros(0, 3, 8, 8), torch.zeros(0, dtype=torch.int64))


def test_pictures_on_two_devices_are_refused() -> None:
    with pytest.raises(UserError, match="device"):
        CutMix().mix(torch.zeros(2, 3, 8, 8), torch.zeros(2, 3, 8, 8, device="meta"))


@pytest.mark.parametrize("mixer", [Mixup(), CutMix()])
def test_one_image_without_a_batch_axis_is_warned_of(mixer: Mixer) -> None:
    image = torch.rand(3, 8, 9)
    with pytest.warns(UserWarning, match=r"3 signals of 8 channels; one image needs a batch axis"):
        mixer.mix(image, image.flip(1))
