"""Parts of SnapMix, TokenMix and StyleMix, what they refuse, and the history of RecursiveMix."""

import pytest
import torch
import torch.nn.functional as F
from mixer_scene import Net, generator
from torch import Tensor

from ssl_mix.errors import UserError
from ssl_mix.losses import DecoupledMixupLoss
from ssl_mix.mixers import (
    RecursiveMix,
    StyleMix,
    build_mixer,
)
from ssl_mix.mixers.activation import activation_maps
from ssl_mix.mixers.cutmix import outside_box
from ssl_mix.mixers.snapmix import fitted_box
from ssl_mix.mixers.tokenmix import block_cells


def pictures(*shape: int, seed: int = 1) -> Tensor:
    return torch.rand(shape, generator=generator(seed))


def test_flat_activations_give_all_pixels_one_share() -> None:
    net = Net(3)
    torch.nn.init.zeros_(net.head.weight)
    assert torch.equal(
        activation_maps(net, pictures(1, 3, 8, 8), torch.tensor([0])), torch.full((1, 8, 8), 1 / 64)
    )


def test_a_box_is_scaled_into_another_as_interpolate_does() -> None:
    images = pictures(6, 2, 12, 15)
    draws, lam = pictures(2, 6, 2, seed=3), pictures(2, 6, seed=4)
    read, filled = (outside_box(draws[k], lam[k], 12, 15) for k in range(2))
    made = fitted_box(images, read, filled)
    compared = 0
    for n in range(6):
        (top, left), (row, column) = (
            [(side[n] == 0).nonzero().flatten().tolist() for side in box] for box in (read, filled)
        )
        if not (top and left and row and column):
            continue
        part = images[n : n + 1, :, top[0] : top[-1] + 1, left[0] : left[-1] + 1]
        expected = F.interpolate(part, (len(row), len(column)), mode="bilinear", align_corners=True)[0]
        shown = made[n, :, row[0] : row[-1] + 1, column[0] : column[-1] + 1]
        torch.testing.assert_close(shown, expected, rtol=0, atol=1e-5)
        compared += 1
    assert compared >= 4


def test_blocks_cover_what_is_asked_and_are_many() -> None:
    count = torch.tensor([0.0, 40, 98, 196] * 25)
    covered = block_cells(count, 14, pictures(24, 100, 4, seed=7))
    sizes = covered.sum((1, 2)).view(25, 4).double()
    assert (sizes <= count.view(25, 4)).all() and (sizes[:, 0] == 0).all()
    assert (sizes.mean(0)[1:3] / torch.tensor([40.0, 98.0]) > 0.9).all()
    row = covered[2].double()
    box = row.any(1).sum() * row.any(0).sum()
    assert row.sum() < box  # no single rectangle


def test_a_decoder_of_another_size_is_refused() -> None:
    with pytest.raises(UserError, match="decoder"):
        StyleMix(decoder=torch.nn.AvgPool2d(2)).mix(*torch.rand(2, 3, 3, 8, 8))


def test_history_is_pasted_with_its_labels() -> None:
    mixer, classes = RecursiveMix(), torch.eye(4)
    history, share = None, torch.zeros(4, 3)
    for step in range(3):  # In step t images are t: how much of each is seen is how much its class weighs.
        target = torch.zeros(4, 4)
        target[:, step] = 1
        images, labels, history = mixer(
            torch.full((4, 1, 16, 16), float(step)), target, history, generator=generator(step)
        )
        share = torch.stack([(images == value).float().mean((1, 2, 3)) for value in range(3)], 1)
        if step < 2:
            torch.testing.assert_close(labels[:, :3], share)
    torch.testing.assert_close(labels.sum(1), torch.ones(4))
    torch.testing.assert_close(labels[:, 2], share[:, 2])
    assert (labels[:, :3] > 0).all() and (labels[:, 2] >= 0.5 - 0.07).all()
    assert DecoupledMixupLoss(0.1, classes=3)(torch.randn(4, 4), labels).isfinite()
    assert history is not None and history.images.data_ptr() != images.data_ptr()
    for wrong in (torch.arange(4), classes[:3]):
        with pytest.raises(UserError, match="target"):
            mixer(images, wrong, None)
    with pytest.raises(UserError, match="history"):
        mixer(images.repeat(2, 1, 1, 1), labels.repeat(2, 1), history)


def test_networks_are_asked_for() -> None:
    for name in ("snapmix", "tokenmix"):
        with pytest.raises(UserError, match="net="):
            build_mixer(name)(pictures(2, 3, 8, 8), torch.arange(2))
