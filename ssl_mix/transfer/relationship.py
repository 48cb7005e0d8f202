"""How the classes of a source task relate to those of a target task: p(source class | target class), learned
from few samples."""

import warnings
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_mix.errors import UserError, check_choice, check_seed
from ssl_mix.imported import imported
from ssl_mix.randomness import stream_seed

FOLDS = 4
STRENGTHS = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 1e2, 3e2, 1e3, 3e3, 1e4)
MAX_ITERATIONS = 1000
TOLERANCE = 1e-4  # largest gradient of the summed loss where a fit ends

Array = npt.NDArray[np.float64]
Method = Literal["logistic", "direct"]


class Relationship(NamedTuple):
    """What :func:`learn_relationship` found.

    Attributes:
        matrix: p(s | y), (C, S) float32, rows sum to 1.
        method: the one that was used.
        note: why it is not the one asked for, or which classes had no sample; empty where there is nothing to
            say.
    """

    matrix: Tensor
    method: Method
    note: str


def learn_relationship(
    probabilities: Tensor, labels: Tensor, num_classes: int, *, method: Method = "logistic", seed: int = 0
) -> Relationship:
    """p(source class s | target class y), from what a source classifier says of labeled target samples.

    "direct": row y is the mean of the source probabilities P over the samples of class y.

    "logistic": multinomial logistic regression W (C, S) of y on P, without intercept. Its inverse strength of
    regularization, of ``STRENGTHS``, has the best held-out accuracy in stratified 4-fold cross-validation,
    the smallest of equally good ones. One scale a minimizes the held-out cross-entropy of ``a P W^T``. Then
    ``p(y | s) = softmax_y(a W^T)``, and Bayes' rule with ``p(s) = mean(P)`` gives p(s | y). Differences
    between classes that are too faint for the largest strength leave all rows near p(s). Where a class has
    fewer than 4 samples, "direct" is used instead. A class without samples gets p(s).

    Args:
        probabilities: P, rows that sum to 1, (N, S) float; computed on the CPU in float64.
        labels: target classes y, (N,) int64.
        num_classes: C, at least 2.
        method: "logistic" or "direct".
        seed: of the folds.

    Raises:
        ValueError: a shape, a dtype, a value or an option is wrong.

    Source: You et al., "Co-Tuning for Transfer Learning" (NeurIPS 2020), section 3.2 and its code, which
    takes strength and scale from a validation set and keeps the W of the training set; here both come from
    the folds, and W from all samples. W starts from that of the next smaller strength and stops at a gradient
    of 1e-4 or after 1000 iterations; a lies within a factor of 1000 of where the held-out scores have a root
    mean square of 1, because it would grow without end where they are faultless.
    """
    check_choice("method", method, ("logistic", "direct"))
    check_seed("seed", seed)
    _check(probabilities, labels, num_classes)
    source, target = probabilities.detach().double().cpu(), labels.cpu()
    source = source / source.sum(dim=1, keepdim=True)
    counts = torch.bincount(target, minlength=num_classes)
    fewest = int(counts.min())
    if method == "logistic" and fewest >= FOLDS:
        return Relationship(_logistic(source, target, seed).float().to(probabilities.device), "logistic", "")
    notes = []
    if method == "logistic":
        notes.append(
            f"method 'direct' instead of 'logistic', which needs {FOLDS} samples of each class (fewest: "
            f"{fewest})"
        )
    if fewest == 0:
        notes.append(
            f"classes without samples get the mean of all: {(counts == 0).nonzero().flatten().tolist()}"
        )
    return Relationship(
        _direct(source, target, counts).float().to(probabilities.device), "direct", "; ".join(notes)
    )


def _check(probabilities: Tensor, labels: Tensor, num_classes: int) -> None:
    """Raise unless they are what ``learn_relationship`` asks for."""
    if probabilities.ndim != 2 or not probabilities.is_floating_point() or not probabilities.numel():
        raise UserError(
            f"probabilities must be float (N, S), got {probabilities.dtype} {tuple(probabilities.shape)}"
        )
    if labels.dtype != torch.int64 or labels.shape != probabilities.shape[:1]:
        raise UserError(
            f"labels must be int64 ({len(probabilities)},), got {labels.dtype} {tuple(labels.shape)}"
        )
    if num_classes < 2 or labels.min() < 0 or labels.max() >= num_classes:
        raise UserError(
            f"labels must lie in [0, num_classes) with at least 2 classes, got {int(labels.min())} to "
            f"{int(labels.max())} for "
            f"{num_classes} classes"
        )
    sums = probabilities.double().sum(dim=1)
    if not (probabilities >= 0).all() or not ((sums - 1).abs() < 0.02).all():
        raise UserError(
            "probabilities must not be negative and must sum to 1 in each row: pass logits.softmax(dim=1)"
        )


def _direct(source: Tensor, target: Tensor, counts: Tensor) -> Tensor:
    """Mean of ``source`` (N, S) by class, or over all samples for a class that has none, (C, S)."""
    sums = F.one_hot(target, len(counts)).double().T @ source
    return torch.where(counts[:, None] > 0, sums / counts[:, None].clamp(min=1), source.mean(dim=0))


def _logistic(source: Tensor, target: Tensor, seed: int) -> Tensor:
    scores = _held_out_scores(source.numpy(), target.numpy(), seed)
    best = int((scores.argmax(axis=2) == target.numpy()).sum(axis=1).argmax())
    scale = _best_scale(torch.from_numpy(scores[best]), target)
    *_, weights = _regularization_path(source.numpy(), target.numpy(), STRENGTHS[: best + 1])
    return _by_bayes(scale * torch.from_numpy(weights), source.mean(dim=0))


def _held_out_scores(source: Array, target: npt.NDArray[np.int64], seed: int) -> Array:
    """P W^T of each sample with the W of the folds that it is not in, for every strength, (17, N, C)."""
    scores = np.empty((len(STRENGTHS), len(target), target.max() + 1))
    folds = imported("sklearn.model_selection").StratifiedKFold(
        FOLDS, shuffle=True, random_state=stream_seed(seed, "relationship") % 2**32
    )
    for train, held_out in folds.split(source, target):
        path = _regularization_path(source[train], target[train], STRENGTHS)
        scores[:, held_out] = [source[held_out] @ weights.T for weights in path]
    return scores


def _regularization_path(
    source: Array, target: npt.NDArray[np.int64], strengths: tuple[float, ...]
) -> list[Array]:
    """W (C, S) for every inverse strength, each begun where the one before ended.

    For two classes scikit-learn fits the difference u of their weights with the penalty |u|^2 / 2, where the
    multinomial penalty of (-u / 2, u / 2) is |u|^2 / 4: twice the inverse strength makes up for it.
    """
    binary = target.max() == 1
    # The solver takes the mean over the samples; the tolerance is that of the sum.
    model = imported("sklearn.linear_model").LogisticRegression(
        fit_intercept=False, tol=TOLERANCE / len(target), max_iter=MAX_ITERATIONS, warm_start=True
    )
    path = []
    with warnings.catch_warnings():
        # a bound on the iterations is a regularization too
        warnings.simplefilter("ignore", imported("sklearn.exceptions").ConvergenceWarning)
        for strength in strengths:
            model.set_params(C=2 * strength if binary else strength).fit(source, target)
            path.append(_both_classes(model) if binary else model.coef_.copy())
    return path


def _both_classes(model: Any) -> Array:
    return np.concatenate((-model.coef_, model.coef_)) / 2


def _best_scale(scores: Tensor, target: Tensor) -> float:
    """The number a that minimizes the cross-entropy of ``a * scores``, which is convex in a, so unimodal in
    log a."""
    unit = -np.log(scores.square().mean().sqrt().item() or 1.0)
    bounds = unit - np.log(1000), unit + np.log(1000)
    found = imported("scipy.optimize").minimize_scalar(
        lambda log_scale: F.cross_entropy(np.exp(log_scale) * scores, target).item(),
        bounds=bounds,
        method="bounded",
        options={"xatol": 1e-7},
    )
    return float(np.exp(found.x))


def _by_bayes(scores: Tensor, prior: Tensor) -> Tensor:
    """p(s | y) (C, S) from p(y | s) = softmax over y of ``scores`` (C, S), and p(s) = ``prior`` (S,); in
    logarithms, so none underflows."""
    joint = scores.log_softmax(dim=0) + prior.log()
    return joint.softmax(dim=1)
