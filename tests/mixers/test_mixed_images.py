"""What the pixels are that Mixup and CutMix make."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.transforms import v2

from ssl_mix.mixers import CutMix, Mixup, PatchShuffle, ResizeMix

SHAPES = [(6, 3, 8, 8), (5, 1, 7, 13), (1, 3, 9, 5)]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(shape: tuple[int, int, int, int], dtype: torch.dtype = torch.float32, seed: int = 1) -> Tensor:
    images = torch.randn(shape, generator=generator(seed))
    return (images * 60).to(dtype) if dtype != torch.uint8 else (images.abs() * 60).clamp(max=255).to(dtype)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_mixup_is_the_blend_rounded_once(shape: tuple[int, int, int, int], dtype: torch.dtype) -> None:
    images_a, images_b = pictures(shape, dtype), pictures(shape, dtype, seed=2)
    mixed, lam = Mixup().mix(images_a, images_b, generator=generator())
    a, b, share = (tensor.double().numpy() for tensor in (images_a, images_b, lam))
    share = share[:, None, None, None]
    expected = share * a + (1 - share) * b
    error = np.abs(mixed.double().numpy() - expected)
    computed_in = torch.finfo(torch.float64 if dtype == torch.float64 else torch.float32)
    arithmetic = 2 * computed_in.eps * (np.abs(share * a) + np.abs((1 - share) * b))
    rounding = 0.5 * torch.finfo(dtype).eps * np.abs(expected)
    assert (error <= arithmetic + rounding + torch.finfo(dtype).tiny).all()


@pytest.mark.parametrize("shape", [*SHAPES, (40, 2, 33, 65)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.uint8, torch.int64])
@pytest.mark.parametrize("lam", [None, 0.5])
def test_cutmix_pastes_one_box_of_the_partner(
    shape: tuple[int, int, int, int], dtype: torch.dtype, lam: float | None
) -> None:
    images_a = pictures(shape, dtype)
    images_b = images_a + 2  # In every pixel another value, for uint8 by wrapping around.
    mixed, share = CutMix().mix(images_a, images_b, lam=lam, generator=generator())
    from_a, from_b = mixed == images_a, mixed == images_b
    assert (from_a ^ from_b).all()
    assert (from_b == from_b[:, :1]).all()
    box = from_b[:, 0]
    area = box.any(2).sum(1) * box.any(1).sum(1)
    rows, columns = box.any(2).int(), box.any(1).int()
    assert torch.equal(box.sum((1, 2)), area)
    assert all((line.diff(dim=1).abs().sum(1) <= 2).all() for line in (rows, columns))
    expected = 1 - area.double() / (shape[2] * shape[3])
    np.testing.assert_allclose(share.double(), expected, rtol=0, atol=torch.finfo(torch.float32).eps)


@pytest.mark.parametrize("size", [(24, 40), (32, 32), (5, 3)])
def test_the_box_is_that_of_a_loop(size: tuple[int, int]) -> None:
    images = torch.zeros(200, 1, *size)
    lam = torch.rand(200, generator=generator(1))
    mixed, _ = CutMix().mix(images, images + 1, lam=lam, generator=generator())
    centers = torch.rand((200, 2), generator=generator()).numpy()
    for picture, share, center in zip(mixed.numpy(), lam.numpy(), centers, strict=True):
        expected = np.zeros((1, *size), np.float32)
        begin, end = [], []
        for side, place in zip(size, center, strict=True):
            length = int(np.float32(side) * np.sqrt(np.float32(1) - share))
            first = int(np.float32(side) * place) - length // 2
            begin.append(max(0, first))
            end.append(min(side, first + length))
        expected[:, begin[0] : end[0], begin[1] : end[1]] = 1
        assert np.array_equal(picture, expected)


@pytest.mark.parametrize("lam", [0.25, 0.64, 0.91])
def test_a_box_inside_the_picture_has_the_shape_of_the_picture(lam: float) -> None:
    height, width = 60, 90
    zeros = torch.zeros(400, 1, height, width)
    mixed, _ = CutMix().mix(zeros, zeros + 1, lam=lam, generator=generator())
    box = mixed[:, 0].bool()
    heights, widths = box.any(2).sum(1), box.any(1).sum(1)
    assert abs(heights.max().item() - height * np.sqrt(1 - lam)) <= 1
    assert abs(widths.max().item() - width * np.sqrt(1 - lam)) <= 1


def test_cutmix_reaches_every_pixel_and_differs_between_samples() -> None:
    zeros = torch.zeros(400, 1, 9, 14)
    mixed, _ = CutMix().mix(zeros, zeros + 1, lam=0.9, generator=generator())
    assert mixed.any(0).all()
    assert len(mixed.unique(dim=0)) > 50


@pytest.mark.parametrize(
    ("mixer", "dtype"), [(Mixup(), torch.float32), (CutMix(), torch.float32), (CutMix(), torch.uint8)]
)
def test_lam_one_is_the_base_picture_exactly(mixer: Any, dtype: torch.dtype) -> None:
    images_a, images_b = pictures(SHAPES[0], dtype), pictures(SHAPES[0], dtype, seed=2)
    mixed, lam = mixer.mix(images_a, images_b, lam=1.0)
    assert torch.equal(mixed, images_a)
    assert torch.equal(lam, torch.ones(6))


def test_lam_zero_is_the_partner_exactly_for_mixup() -> None:
    images_a, images_b = pictures(SHAPES[0]), pictures(SHAPES[0], seed=2)
    assert torch.equal(Mixup().mix(images_a, images_b, lam=0.0)[0], images_b)


@pytest.mark.parametrize("lam", [0.0, 0.3, 0.8])
def test_mixup_equals_timm(lam: float, monkeypatch: pytest.MonkeyPatch) -> None:
    timm = pytest.importorskip("timm.data")
    other = timm.Mixup(mixup_alpha=1.0, label_smoothing=0.0, num_classes=10)
    monkeypatch.setattr(other, "_params_per_batch", lambda: (lam, False))
    images, labels = pictures(SHAPES[0]), torch.tensor([1, 3, 5, 7, 9, 0])
    mixed, _ = Mixup().mix(images, images.flip(0), lam=lam)
    expected, _ = other(images.clone(), labels)
    torch.testing.assert_close(mixed, expected, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("lam", [0.0, 0.3, 0.8])
def test_mixup_equals_torchvision(lam: float, monkeypatch: pytest.MonkeyPatch) -> None:
    other = v2.MixUp(num_classes=10)
    monkeypatch.setattr(other, "make_params", lambda _: {"lam": lam})
    images, labels = pictures(SHAPES[1]), torch.tensor([1, 3, 5, 7, 9])
    mixed, _ = Mixup().mix(images, images.roll(1, 0), lam=lam)
    torch.testing.assert_close(mixed, other(images, labels)[0], rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("mixer", [Mixup(), CutMix(), ResizeMix(), PatchShuffle(size=3)], ids=str)
def test_pictures_keep_their_memory_layout(mixer: Any, dtype: torch.dtype) -> None:
    images = pictures((4, 3, 8, 10), dtype).contiguous(memory_format=torch.channels_last)
    mixed, _ = mixer(images, torch.arange(4), generator=generator())
    assert mixed.is_contiguous(memory_format=torch.channels_last)
    expected, _ = mixer(images.contiguous(), torch.arange(4), generator=generator())
    assert torch.equal(mixed, expected) and expected.is_contiguous()
