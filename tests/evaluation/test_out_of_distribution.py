"""Scores and how well they tell images of other classes apart, against loops and scikit-learn."""

import math

import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve
from torch import Tensor

from ssl_mix import UserError
from ssl_mix.evaluation import confidence, energy, max_logit, max_softmax, ood_metrics


def drawn(count: int, seed: int, shift: float = 0.0) -> Tensor:
    return torch.randn(count, generator=torch.Generator().manual_seed(seed)) + shift


CASES = {
    "random": (drawn(200, 0, 1), drawn(150, 1)),
    "float64": (drawn(50, 0, 1).double(), drawn(70, 1).double()),
    "float16": (drawn(300, 2, 1).half(), drawn(200, 3).half()),
    "bfloat16": (drawn(300, 2, 1).bfloat16(), drawn(200, 3).bfloat16()),
    "ties": (drawn(90, 4).round(), drawn(120, 5, -0.5).round()),
    "all alike": (torch.ones(20), torch.ones(30)),
    "told apart": (drawn(40, 6).abs() + 1, -drawn(25, 7).abs()),
    "the wrong way round": (-drawn(40, 6).abs() - 1, drawn(25, 7).abs()),
    "one of each": (torch.tensor([0.3]), torch.tensor([0.4])),
    "one inside": (torch.tensor([0.3]), drawn(50, 8)),
    "0 and 1": ((drawn(60, 9) > 0).float(), (drawn(60, 10) > 0.5).float()),
    "20, of which 95 % are 19": (drawn(20, 11, 1), drawn(40, 12)),
    "21": (drawn(21, 11, 1), drawn(40, 12)),
}


def precision_area(positive: list[float], negative: list[float]) -> float:
    """``sum (R_k - R_k-1) P_k`` over the distinct scores, from the highest."""
    area = recall = 0.0
    for threshold in sorted({*positive, *negative}, reverse=True):
        hits = sum(score >= threshold for score in positive)
        found = hits + sum(score >= threshold for score in negative)
        area += (hits / len(positive) - recall) * hits / found
        recall = hits / len(positive)
    return area


@pytest.mark.parametrize("name", CASES)
def test_metrics_are_those_of_loops(name: str) -> None:
    inside, outside = (scores.double().tolist() for scores in CASES[name])
    pairs = [(a > b) + 0.5 * (a == b) for a in inside for b in outside]
    thresholds = [t for t in inside if 100 * sum(a >= t for a in inside) >= 95 * len(inside)]
    found = ood_metrics(*CASES[name])
    assert found["auroc"] == pytest.approx(sum(pairs) / len(pairs), abs=1e-12)
    assert found["aupr_in"] == pytest.approx(precision_area(inside, outside), abs=1e-12)
    turned = [-a for a in outside], [-a for a in inside]
    assert found["aupr_out"] == pytest.approx(precision_area(*turned), abs=1e-12)
    passing = sum(b >= max(thresholds) for b in outside)
    assert found["fpr95"] == pytest.approx(passing / len(outside), abs=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_metrics_are_those_of_scikit_learn(name: str) -> None:
    inside, outside = (scores.double() for scores in CASES[name])
    scores = torch.cat((inside, outside)).numpy()
    known = [1] * len(inside) + [0] * len(outside)
    found = ood_metrics(*CASES[name])
    assert found["auroc"] == pytest.approx(roc_auc_score(known, scores), abs=1e-12)
    assert found["aupr_in"] == pytest.approx(average_precision_score(known, scores), abs=1e-12)
    others = [1 - value for value in known]
    assert found["aupr_out"] == pytest.approx(average_precision_score(others, -scores), abs=1e-12)
    fpr, tpr, _ = roc_curve(known, scores, drop_intermediate=False)
    assert found["fpr95"] == pytest.approx(fpr[tpr >= 0.95 - 1e-12][0], abs=1e-12)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("elements", [2**22, 30])
def test_scores_are_those_of_a_loop(
    dtype: torch.dtype, elements: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(confidence, "ELEMENTS", elements)
    logits = (20 * torch.randn(50, 7, generator=torch.Generator().manual_seed(0))).to(dtype)
    for row, one, two, three in zip(
        logits.double().tolist(), max_softmax(logits), max_logit(logits), energy(logits), strict=True
    ):
        total = sum(math.exp(z) for z in row)
        assert float(one) == pytest.approx(math.exp(max(row)) / total, rel=1e-12)
        assert float(two) == max(row)
        assert float(three) == pytest.approx(math.log(total), rel=1e-12)


def test_scores_of_large_logits_are_exact() -> None:
    logits = torch.tensor([[3e4, -3e4], [-6e4, -6e4]])
    assert max_softmax(logits).tolist() == pytest.approx([1.0, 0.5])
    assert energy(logits).tolist() == pytest.approx([3e4, -6e4 + math.log(2)], rel=1e-14)
    sure = max_softmax(torch.tensor([[20.0, 0.0], [25.0, 0.0]]))
    assert sure[0] < sure[1] < 1


def test_what_cannot_be_scored_is_refused() -> None:
    good = torch.tensor([0.1, 0.2])
    with pytest.raises(UserError, match="out_scores is empty"):
        ood_metrics(good, torch.empty(0))
    with pytest.raises(UserError, match=r"expected in_scores float \(N,\), got torch.int64 \(2,\) on cpu"):
        ood_metrics(torch.tensor([1, 2]), good)
    with pytest.raises(UserError, match="1 of 2 rows of out_scores is not finite"):
        ood_metrics(good, torch.tensor([0.1, math.nan]))
    with pytest.raises(UserError, match=r"expected logits float \(N, C\), got torch.float32 \(2,\)"):
        energy(good)
