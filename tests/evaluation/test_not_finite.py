"""What is NaN or infinite is refused, whatever measures it: it would come out as a number."""

from collections.abc import Callable

import pytest
import torch

from ssl_mix.errors import UserError
from ssl_mix.evaluation import (
    class_bias,
    corruption_errors,
    equivariance_error,
    mixed_answers,
    paired_difference,
)

LABELS, ONES = torch.tensor([0]), torch.ones(1, 2)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize(
    "measure",
    [
        lambda value: mixed_answers(torch.tensor([[value, 0.0]]), LABELS, LABELS + 1),
        lambda value: equivariance_error(ONES * value, ONES, 0 * ONES, 0.5),
        lambda value: equivariance_error(ONES, ONES * value, 0 * ONES, 0.5),
        lambda value: class_bias(torch.tensor([value, 1.0]), torch.ones(2)),
        lambda value: class_bias(torch.ones(2), torch.tensor([1.0, value])),
        lambda value: paired_difference([1.0, value], [0.5, 0.5]),
    ],
)
def test_it_is_refused(measure: Callable[[float], object], value: float) -> None:
    with pytest.raises(UserError, match="finite"):
        measure(value)


def test_percents_in_place_of_shares_are_told_with_their_range() -> None:
    with pytest.raises(UserError, match="got 20 to 55"):
        corruption_errors(torch.tensor([[20.0, 55.0]]))
