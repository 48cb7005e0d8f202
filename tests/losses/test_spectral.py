"""Spectral shrinkage against singular values, numerical differentiation, and batches without full rank."""

import pytest
import torch
from torch import Tensor

from ssl_mix.errors import UserError
from ssl_mix.losses import spectral_shrinkage

SHAPES = [(5, 12), (6, 6), (12, 5), (1, 4), (4, 1)]


def features(count: int, width: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(count, width, generator=draw, dtype=torch.float64).to(dtype)


@pytest.mark.parametrize("shape", SHAPES)
def test_equals_the_smallest_singular_values(shape: tuple[int, int]) -> None:
    batch = features(*shape)
    squares = torch.linalg.svdvals(batch).square().flip(0)
    for smallest in range(1, min(shape) + 1):
        found = spectral_shrinkage(batch, smallest=smallest)
        assert found.shape == ()
        torch.testing.assert_close(found, squares[:smallest].sum(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_gradient_numerically(shape: tuple[int, int]) -> None:
    for smallest in {1, min(shape)}:
        batch = features(*shape).requires_grad_()
        assert torch.autograd.gradcheck(lambda x, k=smallest: spectral_shrinkage(x, smallest=k), batch)


@pytest.mark.parametrize("shape", [(5, 12), (12, 5)])
def test_gradient_equals_that_of_the_singular_values(shape: tuple[int, int]) -> None:
    batch, again = features(*shape).requires_grad_(), features(*shape).requires_grad_()
    spectral_shrinkage(batch, smallest=2).backward()
    torch.linalg.svdvals(again)[-2:].square().sum().backward()
    torch.testing.assert_close(batch.grad, again.grad, rtol=1e-7, atol=1e-9)


def test_all_singular_values_are_the_squared_norm() -> None:
    batch = features(5, 12).requires_grad_()
    spectral_shrinkage(batch, smallest=5).backward()
    torch.testing.assert_close(batch.grad, 2 * batch.detach())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_single(dtype: torch.dtype) -> None:
    batch = features(6, 20, dtype=dtype).requires_grad_()
    with torch.autocast("cpu", dtype=dtype):
        found = spectral_shrinkage(batch)
        of_single = spectral_shrinkage(batch.detach().float())
    expected = torch.linalg.svdvals(batch.detach().double())[-1].square()
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=0)
    assert torch.equal(found, of_single)
    found.backward()
    assert batch.grad.dtype == dtype


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("smallest", [1, 2, 4])
def test_equal_singular_values_give_a_gradient_of_their_length(dtype: torch.dtype, smallest: int) -> None:
    """All singular values 3: whichever directions are chosen, the gradient 2 V V^T F has the norm 2 * 3 *
    sqrt(k)."""
    basis = torch.linalg.qr(features(9, 4)).Q.T.to(dtype)
    batch = (3 * basis).requires_grad_()
    loss = spectral_shrinkage(batch, smallest=smallest)
    loss.backward()
    torch.testing.assert_close(loss.item(), 9.0 * smallest, rtol=1e-5, atol=0)
    torch.testing.assert_close(batch.grad.norm().item(), 6 * smallest**0.5, rtol=1e-5, atol=0)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("rows", [(0, 0, 1, 2), (0, 0, 0, 1), (0, 0, 0, 0)])
def test_equal_rows_leave_nothing_to_shrink(dtype: torch.dtype, rows: tuple[int, int, int, int]) -> None:
    """Values of zero, several of them in part, and as many directions as are zero: no loss, no gradient, no
    negative value."""
    batch = 30 * features(3, 10, dtype=dtype)[list(rows)]
    batch.requires_grad_()
    loss = spectral_shrinkage(batch, smallest=4 - len(set(rows)))
    loss.backward()
    rounding = batch.detach().norm() * torch.finfo(dtype).eps ** 0.5
    assert 0 <= loss <= rounding**2
    assert batch.grad.norm() <= 2 * rounding


def test_features_of_zero() -> None:
    batch = torch.zeros(3, 5, requires_grad=True)
    spectral_shrinkage(batch, smallest=2).backward()
    assert not batch.grad.any()


def test_a_large_batch_keeps_its_digits_in_single() -> None:
    """A smallest value thousands of times below the largest, as pooled features of a network have it."""
    batch = features(48, 512) + 20
    expected = torch.linalg.svdvals(batch)[-1].square()
    torch.testing.assert_close(spectral_shrinkage(batch.float()).double(), expected, rtol=1e-4, atol=0)


@pytest.mark.parametrize(
    ("batch", "smallest", "words"),
    [
        (torch.ones(3, 5), 4, "at most 3"),
        (torch.ones(5, 3), 4, "at most 3"),
        (torch.ones(3, 5), 0, "smallest"),
        (torch.ones(3, 5), 1.5, "smallest"),
        (torch.ones(3, 5, 2), 1, "N, D"),
        (torch.ones(3, 5, dtype=torch.int64), 1, "float"),
    ],
)
def test_wrong_arguments(batch: Tensor, smallest: int, words: str) -> None:
    with pytest.raises(UserError, match=words):
        spectral_shrinkage(batch, smallest=smallest)
