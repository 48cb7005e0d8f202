"""Label weights that follow attention, against NumPy."""

import numpy as np
import pytest
import torch
from torch import Tensor

from ssl_mix.errors import UserError
from ssl_mix.mixers import CutMix, Mixup, transmix_lam


def images(samples: int = 3, height: int = 32, width: int = 48) -> Tensor:
    return torch.randn(samples, 3, height, width, generator=torch.Generator().manual_seed(9))


@pytest.mark.parametrize("samples", [1, 2, 65])
def test_label_weights(samples: int) -> None:
    """NumPy float64: patches of 8 x 8 pixels, each with its own attention."""
    generator = torch.Generator().manual_seed(1)
    mixed = CutMix().mix_batch(
        images(samples, 24, 40), torch.zeros(samples, dtype=torch.int64), generator=generator
    )
    attention = torch.rand(samples, 15, generator=generator)
    lam = transmix_lam(attention, mixed.mask, mixed.target.lam)
    patches = mixed.mask.double().numpy().reshape(samples, 3, 8, 5, 8).mean((2, 4)).reshape(samples, 15)
    weights = attention.double().numpy()
    share = (weights * patches).sum(1) / weights.sum(1)
    np.testing.assert_allclose(lam.numpy(), (mixed.target.lam.double().numpy() + share) / 2, atol=1e-6)


def test_even_attention_gives_the_area() -> None:
    mixed = CutMix().mix_batch(images(), torch.arange(3), generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(
        transmix_lam(torch.full((3, 24), 0.1), mixed.mask, mixed.target.lam), mixed.target.lam
    )


def test_a_mask_without_places_keeps_lam() -> None:
    mixed = Mixup().mix_batch(images(), torch.arange(3), generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(
        transmix_lam(torch.rand(3, 24), mixed.mask, mixed.target.lam), mixed.target.lam
    )


def test_no_attention_at_all_keeps_lam() -> None:
    mixed = CutMix().mix_batch(images(), torch.arange(3), generator=torch.Generator().manual_seed(1))
    attention = torch.rand(3, 24, generator=torch.Generator().manual_seed(2))
    attention[1] = 0
    lam = transmix_lam(attention, mixed.mask, mixed.target.lam)
    assert lam[1] == mixed.target.lam[1] < 1
    assert torch.equal(lam[0], transmix_lam(attention[:1], mixed.mask[:1], mixed.target.lam[:1])[0])
    assert torch.isfinite(lam).all()


@pytest.mark.parametrize(
    "attention, mask, lam",
    [
        ((3, 24), (3, 1, 8, 12), (2,)),
        ((3, 24), (3, 8, 12), (3,)),
        ((3, 4, 6), (3, 1, 8, 12), (3,)),
        ((3, 23), (3, 1, 8, 12), (3,)),
    ],
)
def test_shapes_that_do_not_belong_together(
    attention: tuple[int, ...], mask: tuple[int, ...], lam: tuple[int]
) -> None:
    with pytest.raises(UserError):
        transmix_lam(torch.rand(attention), torch.rand(mask), torch.rand(lam))
