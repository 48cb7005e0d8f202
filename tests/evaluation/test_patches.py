"""Dropped and shuffled patches, against loops over patches."""

import pytest
import torch
from torch import Tensor

from ssl_mix.evaluation import patch_drop, patch_shuffle
from ssl_mix.mixers.saliency import fine_grained_saliency

ORDERS = ("random", "salient", "nonsalient", "center")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(count: int = 3, height: int = 12, width: int = 12) -> Tensor:
    return torch.randint(1, 256, (count, 3, height, width), generator=generator(5), dtype=torch.uint8)


def black(dropped: Tensor, grid: int) -> Tensor:
    """Which patches of an image (C, H, W) are black, (grid, grid); raises where one is in part."""
    height, width = dropped.shape[1:]
    found = torch.zeros(grid, grid, dtype=torch.bool)
    for row in range(height):
        for column in range(width):
            found[row * grid // height, column * grid // width] |= not dropped[:, row, column].any()
    for row in range(height):
        for column in range(width):
            dark = not dropped[:, row, column].any()
            assert found[row * grid // height, column * grid // width] == dark
    return found


@pytest.mark.parametrize("order", ORDERS)
def test_nothing_and_everything_can_be_dropped(order: str) -> None:
    given = images()
    assert torch.equal(patch_drop(given, 0.0, 4, order=order), given)
    assert not patch_drop(given, 1.0, 4, order=order).any()


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("height", "width", "grid"), [(12, 12, 4), (13, 17, 5)])
def test_as_many_whole_patches_as_the_share_says_go_black_and_all_else_stays(
    order: str, height: int, width: int, grid: int
) -> None:
    given = images(3, height, width)
    for share in (0.1, 0.5, 0.9):
        dropped = patch_drop(given, share, grid, order=order, generator=generator())
        for before, after in zip(given, dropped, strict=True):
            assert black(after, grid).sum() == round(share * grid**2)
            kept = (after > 0).any(dim=0)
            assert torch.equal(after[:, kept], before[:, kept])


def test_salient_patches_are_those_of_the_largest_mean() -> None:
    given, values = images(2, 13, 13), torch.rand(2, 13, 13, generator=generator(1)).double()
    sums, counts = torch.zeros(2, 5, 5).double(), torch.zeros(5, 5).double()
    for row in range(13):
        for column in range(13):
            sums[:, row * 5 // 13, column * 5 // 13] += values[:, row, column]
            counts[row * 5 // 13, column * 5 // 13] += 1
    for place, means in enumerate(sums / counts):
        ranks = means.flatten().argsort(descending=True)
        for order, chosen in (("salient", ranks[:8]), ("nonsalient", ranks[-8:])):
            dropped = patch_drop(given, 0.32, 5, order=order, saliency=values)[place]
            assert set(black(dropped, 5).flatten().nonzero().flatten().tolist()) == set(chosen.tolist())
    own = patch_drop(given, 0.4, 5, order="salient", saliency=fine_grained_saliency(given))
    assert torch.equal(own, patch_drop(given, 0.4, 5, order="salient"))


def test_the_center_is_a_square() -> None:
    dropped = patch_drop(images(1), 0.25, 4, order="center")[0]
    wanted = torch.zeros(4, 4, dtype=torch.bool)
    wanted[1:3, 1:3] = True
    assert torch.equal(black(dropped, 4), wanted)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_a_batch_is_its_images_one_by_one_and_a_seed_is_a_choice(dtype: torch.dtype) -> None:
    given = images().to(dtype)
    for change in (
        lambda part, draws: patch_drop(part, 0.5, 4, generator=draws),
        lambda part, draws: patch_drop(part, 0.5, 4, order="salient"),
        lambda part, draws: patch_shuffle(part, 4, draws),
    ):
        one_by_one = generator()
        alone = torch.cat([change(image[None], one_by_one) for image in given])
        assert torch.equal(change(given, generator()), alone) and alone.dtype == dtype
    assert not torch.equal(patch_shuffle(given, 4, generator()), patch_shuffle(given, 4, generator(1)))


def test_shuffling_moves_whole_pieces_and_a_grid_of_one_moves_none() -> None:
    given = images(2, 13, 9)
    assert torch.equal(patch_shuffle(given, 1), given)
    shuffled = patch_shuffle(given, 4, generator())
    assert not torch.equal(shuffled, given)
    assert torch.equal(shuffled[:, :, 12:], given[:, :, 12:]) and torch.equal(
        shuffled[..., 8:], given[..., 8:]
    )
    for before, after in zip(given, shuffled, strict=True):
        pieces = [
            [
                image[:, row * 3 : row * 3 + 3, column * 2 : column * 2 + 2].flatten().tolist()
                for row in range(4)
                for column in range(4)
            ]
            for image in (before, after)
        ]
        assert sorted(pieces[0]) == sorted(pieces[1])


def test_bad_input_is_refused() -> None:
    for call, told in (
        (lambda: patch_drop(images(), 1.5, 4), "share must lie in"),
        (lambda: patch_drop(images(), 0.5, 13), "hold no 13 x 13 patches"),
        (lambda: patch_drop(images(), 0.5, 4, order="odd"), "order must be one of"),
        (
            lambda: patch_drop(images(), 0.5, 4, order="salient", saliency=torch.rand(3, 4, 4)),
            "saliency must be",
        ),
        (lambda: patch_shuffle(images(), 0), "grid must be above 0"),
        (lambda: patch_shuffle(images()[0], 2), "takes images"),
    ):
        with pytest.raises(ValueError, match=told):
            call()
