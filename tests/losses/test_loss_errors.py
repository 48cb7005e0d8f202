"""Wrong arguments raise a ValueError that names the argument."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from ssl_mix.errors import UserError
from ssl_mix.losses import (
    AsymmetricMixupLoss,
    DecoupledMixupBCELoss,
    DecoupledMixupLoss,
    LUMixLoss,
    asymmetric_mixup_cross_entropy,
    decoupled_cross_entropy,
    decoupled_mixup_cross_entropy,
    mixup_cross_entropy,
)
from ssl_mix.types import MixedTarget

FUNCTIONS = [
    mixup_cross_entropy,
    decoupled_cross_entropy,
    decoupled_mixup_cross_entropy,
    asymmetric_mixup_cross_entropy,
]
DECOUPLED = [decoupled_cross_entropy, decoupled_mixup_cross_entropy]
CRITERIA = [DecoupledMixupLoss, AsymmetricMixupLoss, DecoupledMixupBCELoss, LUMixLoss]
LABELS = torch.tensor([0, 1, 2])


def arguments(function: Callable[..., Any], **changes: Any) -> tuple[Any, ...]:
    """A valid call of a loss with some arguments replaced."""
    first, second = ("labels", "pseudo_labels") if function is FUNCTIONS[-1] else ("labels_a", "labels_b")
    valid = {"logits": torch.zeros(3, 5), first: LABELS, second: LABELS + 1, "lam": torch.full((3,), 0.3)}
    renamed = {
        {"labels_a": first, "labels_b": second}.get(name, name): value for name, value in changes.items()
    }
    return {**valid, **renamed}, next(iter(renamed), "")


WRONG = [
    {"logits": torch.zeros(3)},
    {"logits": torch.zeros(3, 5, 2)},
    {"logits": torch.zeros(3, 5, dtype=torch.int64)},
    {"labels_a": LABELS[:2]},
    {"labels_a": LABELS.float()},
    {"labels_a": LABELS[:, None]},
    {"labels_b": torch.zeros(4, dtype=torch.int64)},
    {"labels_b": LABELS.double()},
    {"labels_b": torch.zeros(3, 5)},
    {"lam": torch.full((2,), 0.3)},
    {"lam": torch.full((3, 1), 0.3)},
    {"lam": [0.3, 0.3, 0.3]},
    {"lam": torch.full((3,), 0.3).numpy()},
    {"labels_a": [0, 1, 2]},
    {"lam": 1.5},
    {"lam": -0.1},
    {"lam": float("nan")},
    {"reduction": "avg"},
    {"reduction": "Mean"},
]


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize(
    "wrong", WRONG, ids=lambda wrong: str({k: getattr(v, "shape", v) for k, v in wrong.items()})
)
def test_functions(function: Callable[..., Any], wrong: dict[str, Any]) -> None:
    keywords, name = arguments(function, **wrong)
    function(**arguments(function)[0])
    with pytest.raises(UserError, match=rf"\b{name}\b"):
        function(**keywords)


@pytest.mark.parametrize("function", DECOUPLED)
@pytest.mark.parametrize("sides", ["left", "", "Both"])
def test_sides(function: Callable[..., Any], sides: str) -> None:
    with pytest.raises(UserError, match="sides"):
        function(**arguments(function)[0], sides=sides)


@pytest.mark.parametrize("name", ["sides", "eta_power"])
def test_options_that_need_lam(name: str) -> None:
    keywords = {
        **arguments(decoupled_cross_entropy, lam=None)[0],
        name: {"sides": "minor", "eta_power": 1.0}[name],
    }
    with pytest.raises(UserError, match=rf"lam.*{name}|{name}.*lam"):
        decoupled_cross_entropy(**keywords)


@pytest.mark.parametrize("function", [*DECOUPLED, asymmetric_mixup_cross_entropy])
def test_negative_eta_power(function: Callable[..., Any]) -> None:
    with pytest.raises(UserError, match="eta_power"):
        function(**arguments(function)[0], eta_power=-1.0)


@pytest.mark.parametrize("mask", [torch.ones(2), torch.ones(3, 1), torch.ones(())])
def test_mask(mask: Tensor) -> None:
    with pytest.raises(UserError, match="mask"):
        asymmetric_mixup_cross_entropy(**arguments(asymmetric_mixup_cross_entropy)[0], mask=mask)


@pytest.mark.parametrize(
    "target",
    [
        torch.zeros(3, 4),
        torch.zeros(2, 5),
        torch.zeros(3),
        torch.zeros(3, 5, dtype=torch.int64),
        torch.zeros(3, 5, 1),
        torch.zeros(2, dtype=torch.int64),
    ],
    ids=lambda target: f"{tuple(target.shape)} {target.dtype}",
)
def test_targets_that_do_not_fit_the_logits(target: Tensor) -> None:
    with pytest.raises(UserError, match="target|labels"):
        DecoupledMixupLoss()(torch.zeros(3, 5), target)


@pytest.mark.parametrize("criterion", [DecoupledMixupLoss(), AsymmetricMixupLoss()])
def test_mixed_targets_that_do_not_fit_the_logits(criterion: Any) -> None:
    target = MixedTarget(LABELS[:2], LABELS[:2], torch.zeros(2))
    with pytest.raises(UserError, match="labels"):
        criterion(torch.zeros(3, 5), target)


@pytest.mark.parametrize("target", [torch.full((3, 5), 0.2), LABELS])
def test_asymmetric_criterion_needs_a_mixed_target(target: Tensor) -> None:
    with pytest.raises(UserError, match="MixedTarget"):
        AsymmetricMixupLoss()(torch.zeros(3, 5), target)


@pytest.mark.parametrize(
    ("criterion", "options"),
    [
        (DecoupledMixupLoss, {"sides": "left"}),
        (DecoupledMixupLoss, {"eta_power": -1.0}),
        (DecoupledMixupLoss, {"classes": 2.5}),
        (AsymmetricMixupLoss, {"eta_power": -1.0}),
        *((each, {"reduction": "avg"}) for each in CRITERIA),
    ],
)
def test_options_of_a_criterion_are_checked_when_it_is_made(
    criterion: type[DecoupledMixupLoss], options: dict[str, Any]
) -> None:
    with pytest.raises(UserError, match=next(iter(options))):
        criterion(**options)


@pytest.mark.parametrize("criterion", [DecoupledMixupLoss, DecoupledMixupBCELoss, LUMixLoss])
@pytest.mark.parametrize("target", [[0, 1, 2], None, (LABELS, LABELS)])
def test_targets_that_are_no_tensor(criterion: type[DecoupledMixupLoss], target: Any) -> None:
    with pytest.raises(UserError, match="target must be"):
        criterion()(torch.zeros(3, 5), target)


@pytest.mark.parametrize("criterion", [DecoupledMixupLoss(), DecoupledMixupBCELoss(), LUMixLoss()])
def test_labels_of_another_number_type_are_told_what_makes_them_count(criterion: Any) -> None:
    one_hot = torch.eye(5, dtype=torch.int64)[LABELS]
    for target, call in ((one_hot, "float"), (LABELS.int(), "long"), (LABELS[:, None], "squeeze")):
        with pytest.raises(UserError, match=rf"pass target\.{call}\("):
            criterion(torch.zeros(3, 5), target)


@pytest.mark.parametrize("kind", CRITERIA)
def test_a_list_is_the_tuple_that_memory_was_pinned_of(kind: Any) -> None:
    criterion, target = kind().eval(), (LABELS, LABELS + 1, torch.full((3,), 0.3))
    assert criterion(torch.ones(3, 5).tril(), list(target)) == criterion(torch.ones(3, 5).tril(), target)
    with pytest.raises(UserError, match="target must be a MixedTarget"):
        criterion(torch.zeros(3, 5), [0, 1, 2])
