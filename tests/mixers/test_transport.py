"""Moving patches: against one sample after the other, one patch after the other."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ssl_mix.mixers.transport import move_patches, transport_plan


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def plain_plan(shares: NDArray[Any], shown: NDArray[Any], distance_weight: float) -> list[int]:
    """The plan of one sample, with prices in float32."""
    side = len(shares)
    places = [(row, column) for row in range(side) for column in range(side)]
    price = np.zeros((side**2, side**2), dtype=np.float32)
    for patch, cell in np.ndindex(price.shape):
        distance = sum((one - other) ** 2 for one, other in zip(places[patch], places[cell], strict=True))
        scale = np.float32(distance_weight / max(side - 1, 1) ** 2)
        price[patch, cell] = scale * np.float32(distance) - shares[places[patch]] * shown[places[cell]]
    for _ in range(side):
        winners: dict[Any, Any] = {}
        for patch in range(side**2):
            cell = int(price[patch].argmin())
            rival = winners.get(cell)
            if rival is None or price[patch, cell] < price[rival, cell]:
                winners[cell] = patch
        for patch in range(side**2):
            cell = int(price[patch].argmin())
            if winners[cell] != patch:
                price[patch, cell] = np.inf
    return [winners.get(cell, cell) for cell in range(side**2)]


@pytest.mark.parametrize("side", [1, 2, 3, 4, 7, 8])
@pytest.mark.parametrize("distance_weight", [0.8, 0.05])
def test_plans_are_those_of_one_sample_at_a_time(side: int, distance_weight: float) -> None:
    shares = torch.rand(6, side, side, generator=generator()) ** 6
    shares = shares / shares.sum((1, 2), keepdim=True)
    shown = torch.rand(6, side, side, generator=generator(1)) < torch.linspace(0, 1, 6)[:, None, None]
    found = transport_plan(shares, shown, distance_weight)
    for k in range(6):
        assert found[k].tolist() == plain_plan(shares[k].numpy(), shown[k].numpy(), distance_weight)


def test_a_salient_patch_moves_to_where_it_is_seen_and_no_further_than_it_is_worth() -> None:
    shares = torch.full((2, 4, 4), 0.01)
    shares[:, 0, 0] = 1 - 0.15
    shown = torch.zeros(2, 4, 4, dtype=torch.bool)
    shown[0, 0, 2] = shown[1, 3, 3] = True
    plan = transport_plan(shares, shown, 0.8).view(2, 4, 4)
    assert plan[0, 0, 2] == 0
    assert plan[1, 3, 3] == 15  # Costs 0.8 * 2 and is worth 0.85.
    cheap = transport_plan(shares, shown, 0.3).view(2, 4, 4)
    assert cheap[1, 3, 3] == 0


@pytest.mark.parametrize("everywhere", [True, False])
def test_nothing_moves_where_all_or_nothing_is_seen(everywhere: bool) -> None:
    shares = torch.rand(3, 8, 8, generator=generator()) / 64
    plan = transport_plan(shares, torch.full((3, 8, 8), everywhere), 0.8)
    assert torch.equal(plan, torch.arange(64).expand(3, -1))


@pytest.mark.parametrize("shape", [(3, 2, 12, 8), (3, 1, 24, 12)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.uint8])
def test_patches_are_copied_whole(shape: tuple[int, int, int, int], dtype: torch.dtype) -> None:
    images = (torch.rand(shape, generator=generator()) * 255).to(dtype)
    plan = torch.randint(16, (3, 16), generator=generator(1))
    moved = move_patches(images, plan)
    height, width = shape[2] // 4, shape[3] // 4
    for k in range(3):
        for cell in range(16):
            own, source = ((c // 4 * height, c % 4 * width) for c in (cell, int(plan[k, cell])))
            there = moved[k, :, own[0] : own[0] + height, own[1] : own[1] + width]
            here = images[k, :, source[0] : source[0] + height, source[1] : source[1] + width]
            assert torch.equal(there, here)


@pytest.mark.parametrize(("height", "width", "side"), [(7, 13, 4), (5, 5, 3), (1, 9, 1), (10, 11, 8)])
def test_uneven_cells(height: int, width: int, side: int) -> None:
    """Each cell shows a piece of the image that starts where its patch does, or ends at the border of the
    image."""
    images = torch.arange(height * width).view(1, 1, height, width)
    plan = torch.randint(side**2, (1, side**2), generator=generator())
    moved = move_patches(images, plan)[0, 0].numpy()
    cell_rows, cell_columns = np.arange(height) * side // height, np.arange(width) * side // width
    for cell in range(side**2):
        inside = np.ix_(cell_rows == cell // side, cell_columns == cell % side)
        first, size = moved[inside][0, 0], moved[inside].shape
        top, left = divmod(first, width)
        expected = images[0, 0, top : top + size[0], left : left + size[1]].numpy()
        assert (moved[inside] == expected).all()
        source = int(plan[0, cell])
        assert top == min(np.argmax(cell_rows == source // side), height - size[0])
        assert left == min(np.argmax(cell_columns == source % side), width - size[1])
    identity = torch.arange(side**2)[None]
    assert torch.equal(move_patches(images, identity), images)
