"""Class weights, ignored labels, label smoothing, reductions and further axes as PyTorch's own losses have
them."""

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssl_mix.errors import UserError
from ssl_mix.losses import (
    AsymmetricMixupLoss,
    DecoupledMixupBCELoss,
    DecoupledMixupLoss,
    LUMixLoss,
    asymmetric_mixup_cross_entropy,
    decoupled_cross_entropy,
    decoupled_mixup_bce,
    decoupled_mixup_cross_entropy,
    lumix_cross_entropy,
    lumix_lam,
    mixup_cross_entropy,
    multiway_decoupled_cross_entropy,
)
from ssl_mix.types import MixedTarget

CLASSES, SAMPLES = 5, 8
WEIGHT = torch.tensor([0.5, 2.0, 1.0, 0.1, 3.0], dtype=torch.float64)

Criterion = Callable[..., nn.Module]
CRITERIA: dict[str, Criterion] = {
    "dm": lambda **options: DecoupledMixupLoss(0.7, **options),
    "dm minor": lambda **options: DecoupledMixupLoss(0.7, sides="minor", eta_power=0.5, **options),
    "mixup": lambda **options: DecoupledMixupLoss(0.0, **options),
    "as": lambda **options: AsymmetricMixupLoss(0.7, **options),
    "lumix": lambda **options: LUMixLoss(eta=0.0, **options),
}
OPTIONS = [
    {"weight": weight, "ignore_index": ignored, "label_smoothing": smoothing, "reduction": reduction}
    for weight, ignored, smoothing, reduction in product(
        (None, WEIGHT), (-100, 2, -1), (0.0, 0.3), ("mean", "sum", "none")
    )
]
EACH = pytest.mark.parametrize("options", OPTIONS, ids=lambda o: " ".join(str(v)[:6] for v in o.values()))


def batch(ignored: int, axes: tuple[int, ...] = (), seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Logits with gradient, labels of which a third is ignored, and other labels, of which some are."""
    draw = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(SAMPLES, CLASSES, *axes, generator=draw, dtype=torch.float64)
    labels, others = torch.randint(CLASSES, (2, SAMPLES, *axes), generator=draw)
    labels[::3], others[1::3] = ignored, ignored
    return logits.requires_grad_(), labels, others


def check_equal(logits: Tensor, actual: Tensor, expected: Tensor) -> None:
    """Values and gradients."""
    torch.testing.assert_close(actual, expected, rtol=1e-10, atol=1e-12)
    slopes = [torch.autograd.grad(loss.sum(), logits, retain_graph=True)[0] for loss in (actual, expected)]
    torch.testing.assert_close(*slopes, rtol=1e-9, atol=1e-12)


@EACH
@pytest.mark.parametrize("axes", [(), (2, 3)], ids=str)
@pytest.mark.parametrize("name", CRITERIA)
def test_cross_entropy_where_lam_is_one(name: str, axes: tuple[int, ...], options: dict[str, Any]) -> None:
    """Whatever the partner is: the very loss of ``nn.CrossEntropyLoss``."""
    logits, labels, others = batch(options["ignore_index"], axes)
    criterion, expected = CRITERIA[name](**options), nn.CrossEntropyLoss(**options)(logits, labels)
    lam = torch.ones(SAMPLES, dtype=torch.float64)
    for target in (MixedTarget(labels, others, lam), (labels, labels, 1.0), (labels, others, 1)):
        check_equal(logits, criterion(logits, target), expected)
    if name != "as":
        check_equal(logits, criterion(logits, labels), expected)
    per_place = MixedTarget(labels, others, torch.ones(labels.shape, dtype=torch.float64))
    check_equal(logits, criterion(logits, per_place), expected)


@pytest.mark.parametrize("options", [o for o in OPTIONS if o["ignore_index"] == -100], ids=lambda o: "")
@pytest.mark.parametrize("name", ["dm", "mixup", "lumix"])
@pytest.mark.parametrize("axes", [(), (2, 2)], ids=str)
def test_cross_entropy_of_dense_targets_of_one_class(
    name: str, axes: tuple[int, ...], options: dict[str, Any]
) -> None:
    logits, labels, _ = batch(0, axes)
    dense = F.one_hot(labels, CLASSES).double().movedim(-1, 1)
    for target in (dense, 0.9 * dense + 0.1 / CLASSES):
        expected = nn.CrossEntropyLoss(**options)(logits, target)
        check_equal(logits, CRITERIA[name](**options).eval()(logits, target), expected)


@pytest.mark.parametrize("reduction", ["mean", "none"])
@pytest.mark.parametrize("weight", [None, WEIGHT])
@pytest.mark.parametrize("pos_weight", [None, WEIGHT.flip(0)])
@pytest.mark.parametrize("axes", [(), (2, 2)], ids=str)
@pytest.mark.parametrize("kind", ["dm", "lumix"])
def test_binary_cross_entropy_where_lam_is_one(
    kind: str, axes: tuple[int, ...], weight: Tensor | None, pos_weight: Tensor | None, reduction: str
) -> None:
    if kind == "lumix" and pos_weight is not None:
        pytest.skip("it has none")
    logits, labels, others = batch(3, axes)
    options: dict[str, Any] = {"weight": weight, "reduction": reduction}
    if kind == "dm":
        criterion: nn.Module = DecoupledMixupBCELoss(0.5, 0.7, pos_weight=pos_weight, **options)
    else:
        criterion = LUMixLoss(eta=0.0, kind="bce", **options)
    dense = F.one_hot(labels, CLASSES).double()
    peer = nn.BCEWithLogitsLoss(**options, pos_weight=pos_weight)
    expected = peer(logits.movedim(1, -1), dense)
    expected = expected if reduction == "mean" else expected.mean(-1)
    lam = torch.ones(SAMPLES, dtype=torch.float64)
    for target in (MixedTarget(labels, others, lam), labels, dense.movedim(-1, 1)):
        check_equal(logits, criterion(logits, target), expected)


def test_binary_cross_entropy_sums_as_pytorch_where_classes_are_summed() -> None:
    logits, labels, _ = batch(0)
    expected = nn.BCEWithLogitsLoss(reduction="sum")(logits, F.one_hot(labels, CLASSES).double())
    criterion = DecoupledMixupBCELoss(sum_classes=True, reduction="sum")
    check_equal(logits, criterion(logits, labels), expected)


@EACH
def test_a_mixed_pair_is_two_weighted_samples(options: dict[str, Any]) -> None:
    """By a loop: each label that is not ignored is a sample of weight lam or 1 - lam, and "mean" divides by
    the weights."""
    logits, labels, others = batch(options["ignore_index"])
    lam = torch.rand(SAMPLES, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    each = {**options, "reduction": "none"}
    values, total = [], 0.0
    for row, a, b, share in zip(logits, labels, others, lam, strict=True):
        value = torch.zeros((), dtype=torch.float64)
        for label, part in ((a, share), (b, 1 - share)):
            if label == options["ignore_index"]:
                continue
            value = value + part * nn.CrossEntropyLoss(**each)(row[None], label[None])[0]
            total = total + part * (1 if options["weight"] is None else options["weight"][label])
        values.append(value)
    losses = torch.stack(values)
    expected = {"none": losses, "sum": losses.sum(), "mean": losses.sum() / total}[options["reduction"]]
    actual = mixup_cross_entropy(logits, labels, others, lam, **options)
    check_equal(logits, actual, expected)
    no_perturbation = LUMixLoss(eta=0.0, **options).eval()
    check_equal(logits, no_perturbation(logits, (labels, others, lam)), expected)
    check_equal(logits, lumix_cross_entropy(logits, labels, others, lam, random_ratio=0.0, score_ratio=0.0,
                                            eta=0.0, **options), expected)  # fmt: skip


@pytest.mark.parametrize("weight", [None, WEIGHT])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_a_pair_with_an_ignored_label_has_no_decoupled_term(weight: Tensor | None, reduction: str) -> None:
    logits, labels, others = batch(-100)
    lam = torch.rand(SAMPLES, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    options: dict[str, Any] = {"weight": weight, "reduction": reduction}
    known = (labels >= 0) & (others >= 0)
    term = decoupled_cross_entropy(logits, labels, others, lam, weight=weight, reduction="none")
    assert not term[~known].any() and term[known & (labels != others)].all()
    plain = mixup_cross_entropy(logits, labels, others, lam, **options)
    added = decoupled_cross_entropy(logits, labels, others, lam, **options)
    total = decoupled_mixup_cross_entropy(logits, labels, others, lam, eta=0.7, **options)
    check_equal(logits, total, plain + 0.7 * added)
    check_equal(logits, DecoupledMixupLoss(0.7, **options)(logits, (labels, others, lam)), total)
    whole = mixup_cross_entropy(logits[known], labels[known], others[known], lam[known], reduction="none")
    half = decoupled_mixup_cross_entropy(logits, labels, others, lam, eta=0.7, reduction="none")[known]
    bare = decoupled_cross_entropy(logits[known], labels[known], others[known], lam[known], reduction="none")
    torch.testing.assert_close(half, whole + 0.7 * bare)


def test_an_ignored_half_of_bce_leaves_an_image_of_the_other_class() -> None:
    logits, labels, others = batch(-100)
    lam = torch.rand(SAMPLES, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    total, kept = torch.zeros((), dtype=torch.float64), 0.0
    for row, a, b, share in zip(logits, labels, others, lam, strict=True):
        ok, pair = (a >= 0, b >= 0), (a[None], b[None], share[None])
        if all(ok):
            value, part = decoupled_mixup_bce(row[None], *pair), 1.0
        elif any(ok):
            label = a if ok[0] else b
            value, part = (
                decoupled_mixup_bce(row[None], label[None], label[None], 1),
                (share, 1 - share)[ok[1]],
            )
        else:
            continue
        total, kept = total + part * value, kept + part
    check_equal(logits, decoupled_mixup_bce(logits, labels, others, lam), total / kept)


def test_the_example_of_a_batch_with_ignored_labels() -> None:
    """``nn.CrossEntropyLoss`` divides by the labels that count."""
    logits = torch.randn(8, 4, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 1, -100, 3, -100, 2, 1, 0])
    expected = nn.CrossEntropyLoss()(logits, labels)
    for criterion in (DecoupledMixupLoss(), LUMixLoss(eta=0.0)):
        torch.testing.assert_close(criterion(logits, labels), expected)
        torch.testing.assert_close(criterion(logits, (labels, labels, 0.4)), expected)


@pytest.mark.parametrize("pseudo", [-1, 7, -100])
def test_a_masked_pseudo_label_is_not_looked_at(pseudo: int) -> None:
    """It counts in the mean over all samples as one of loss 0 does, whatever stands in its place."""
    logits, labels, others = batch(0)
    mask = torch.tensor([1, 0] * 4)
    expected = asymmetric_mixup_cross_entropy(logits, labels, others, 0.3, mask=mask, reduction="none")
    missing = others.where(mask == 1, pseudo)
    actual = asymmetric_mixup_cross_entropy(logits, labels, missing, 0.3, mask=mask, reduction="none")
    check_equal(logits, actual, expected)
    mean = asymmetric_mixup_cross_entropy(logits, labels, missing, 0.3, mask=mask)
    count = 8.0 if pseudo != -100 else 4 + 4 * 0.3  # an ignored label leaves the denominator, by its share
    check_equal(logits, mean, expected.sum() / count)


LOSSES: dict[str, Callable[..., Tensor]] = {
    "mixup": mixup_cross_entropy,
    "decoupled": decoupled_cross_entropy,
    "dm": decoupled_mixup_cross_entropy,
    "as": asymmetric_mixup_cross_entropy,
    "bce": decoupled_mixup_bce,
    "lumix": lumix_cross_entropy,
    "lumix_lam": lumix_lam,
    **{name: lambda z, a, b, lam, c=c: c()(z, (a, b, lam)) for name, c in CRITERIA.items()},  # type: ignore[misc]
}


@pytest.mark.parametrize("wrong", [-1, CLASSES, 10**6])
@pytest.mark.parametrize("name", LOSSES)
def test_a_class_that_there_is_not_is_named(name: str, wrong: int) -> None:
    logits, labels, others = batch(0)
    for place in (0, 5):
        given = others.clone()
        given[place] = wrong
        with pytest.raises(UserError, match=rf"labels must lie in \[0, 4\].*{wrong}"):
            LOSSES[name](logits, labels, given, 0.4)


@pytest.mark.parametrize("criterion", [DecoupledMixupLoss(), LUMixLoss(), DecoupledMixupBCELoss()])
def test_a_plain_label_that_there_is_not_is_named(criterion: nn.Module) -> None:
    with pytest.raises(UserError, match=r"labels must lie in \[0, 2\].*-1"):
        criterion(torch.zeros(2, 3), torch.tensor([0, -1]))
    with pytest.raises(UserError, match="labels"):
        multiway_decoupled_cross_entropy(
            torch.zeros(1, 3), torch.tensor([[0, 5, 1]]), torch.full((1, 3), 1 / 3)
        )


@pytest.mark.parametrize("name", CRITERIA)
def test_options_are_checked_when_a_criterion_is_made(name: str) -> None:
    wrong: list[dict[str, Any]] = [
        {"weight": torch.ones(2, 3)},
        {"weight": [1.0, 2.0]},
        {"weight": torch.tensor([1, 2])},
        {"ignore_index": 0.5},
        {"ignore_index": None},
        {"label_smoothing": 1.5},
    ]
    for options in wrong:
        with pytest.raises(UserError, match=next(iter(options))):
            CRITERIA[name](**options)
    with pytest.raises(UserError, match=r"weight must be \(5,\)"):
        logits, labels, others = batch(0)
        CRITERIA[name](weight=torch.ones(4))(logits, (labels, others, 0.4))


def test_weights_move_with_the_module_and_are_in_its_state() -> None:
    criterion = DecoupledMixupLoss(weight=WEIGHT.float())
    assert list(criterion.state_dict()) == ["weight"] == list(nn.CrossEntropyLoss(WEIGHT).state_dict())
    assert criterion.to(torch.float64).weight.dtype == torch.float64


def test_dense_targets_have_nothing_to_ignore() -> None:
    with pytest.raises(UserError, match="ignore_index"):
        DecoupledMixupLoss(ignore_index=2)(torch.zeros(2, 3), torch.full((2, 3), 1 / 3))


def test_what_is_all_ignored_is_what_pytorch_says() -> None:
    labels = torch.full((3,), -100)
    expected = nn.CrossEntropyLoss()(torch.zeros(3, 4), labels)
    actual = DecoupledMixupLoss()(torch.zeros(3, 4), (labels, labels, 0.5))
    assert expected.isnan() and actual.isnan()
