"""Where a head starts that learns from unlabeled images: classes among whitened features, and a ridge
regression on what they say."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_mix.errors import UserError, check_not_negative, check_positive
from ssl_mix.transfer.starts import TINY, LinearHead, check_labeled, never, spanned, unit


def whitened(
    features: Tensor,
    labels: Tensor,
    unlabeled: Tensor,
    num_classes: int,
    *,
    shrinkages: Sequence[float] = (5.0, 20.0),
    outlier_cosine: float = 0.3,
    label_weight: float = 2.0,
    scale: float = 20.0,
    rounds: int = 20,
    penalty: float = 0.3,
) -> LinearHead:
    """Soft k-means among whitened features, and a class-balanced ridge regression on its shares.

    With the mean mu of all N + M features, ``z = (f - mu) / |f - mu|``. They are whitened by their second
    moment, shrunk towards its mean eigenvalue 1 / D: ``Z'Z / (N + M) + shrinkage I / D = L L'`` and
    ``v = L^-1 z / |L^-1 z|``. A class c with n_c labels begins at the mean m_c of its labeled v. In each
    round an unlabeled image belongs to class c by ``p_c = softmax(scale * cos(v, w))_c`` among the classes
    and one more, of outliers, whose cosine to everything is ``outlier_cosine``; then
    ``w_c = (a n_c m_c + sum_u p_uc v_u) / (a n_c + sum_u p_uc)``, a = ``label_weight``. These shares p are
    the mean over the ``shrinkages``: how much to whiten depends on the images, and is not known.

    The head is the ridge regression of the shares on z, in which all classes weigh the same: with q_ic = a of
    a labeled image of class c and q_uc = p_uc, ``g_c = (sum of q) / (C sum_i q_ic)`` and
    ``h_ic = g_c q_ic``, it minimizes ``sum_ic h_ic |W (z_i - b) + 1/C - e_c|^2 + penalty |W|^2`` over W and
    b, which is ``b = (sum_ic h_ic z_i) / sum_ic h_ic``, where classes of one size would have their middle:
    mu is nearer to the classes with most images. Logits are ``scale * W ((f - mu) / s - b)``, s the mean of
    |f - mu|. C counts the classes with labels; others are never predicted.

    Args:
        features: of labeled images, (N, D) float; computed on the CPU in float64.
        labels: (N,) int64 in [0, C).
        unlabeled: features of unlabeled images, (M, D); M may be 0.
        num_classes: C.
        shrinkages: of the second moment, as shares of its mean eigenvalue.
        outlier_cosine: an image that is closer than this to no class counts little, for any class.
        label_weight: a, how many unlabeled images a labeled one weighs.
        scale: T, of cosines and of logits.
        rounds: of k-means.
        penalty: of the regression.

    Raises:
        ValueError: a shape, a label or an option is wrong, there is no label, or a feature is NaN or
            infinite.

    Source: soft k-means with outliers as in :func:`ssl_mix.transfer.starts.prototypes`; the shrunk second
    moment of Ledoit and Wolf, "A well-conditioned estimator for large-dimensional covariance matrices"
    (2004), with a shrinkage that is not estimated. Class sizes are left free: Sinkhorn to equal ones, as in
    Hu et al., "Leveraging the Feature Distribution in Transfer-based Few-Shot Learning" (ICANN 2021), costs
    where they are not equal.
    """
    check_labeled(features, labels, num_classes)
    if not shrinkages:
        raise UserError("shrinkages must hold one at least")
    for shrinkage in shrinkages:
        check_positive("shrinkages", shrinkage)
    for name, value in {"label_weight": label_weight, "scale": scale, "penalty": penalty}.items():
        check_positive(name, value)
    check_not_negative("rounds", rounds)
    if unlabeled.ndim != 2 or unlabeled.shape[1] != features.shape[1]:
        raise UserError(f"unlabeled must be (M, {features.shape[1]}), got {tuple(unlabeled.shape)}")
    if not unlabeled.isfinite().all():
        raise UserError("features must be finite, and some of unlabeled images are NaN or infinite")
    if not -1 <= outlier_cosine <= 1:
        raise UserError(f"outlier_cosine must lie in [-1, 1], got {outlier_cosine}")
    every = torch.cat((features, unlabeled)).detach().double().cpu()
    center = every.mean(dim=0)
    spread = (every - center).norm(dim=1).mean().clamp_min(TINY)
    basis, z = spanned(unit(every - center))
    given = label_weight * F.one_hot(labels.cpu(), num_classes).double()
    found = [
        _shares(_white(z, shrinkage / len(basis)), given, outlier_cosine, scale, rounds)
        for shrinkage in shrinkages
    ]
    rows, middle = _balanced_ridge(z, torch.stack(found).mean(dim=0), penalty)
    weight = scale / spread * rows @ basis.T
    bias = -weight @ center - scale * rows @ middle
    return LinearHead(weight.float(), never(bias, given.sum(dim=0)).float())


def _white(z: Tensor, added: float) -> Tensor:
    """Rows (N, R) of length 1, whitened by their second moment with ``added`` to its eigenvalues."""
    moment = z.T @ z / len(z)
    moment.diagonal().add_(added)
    return unit(torch.linalg.solve_triangular(torch.linalg.cholesky(moment), z.T, upper=False).T)


def _shares(v: Tensor, given: Tensor, outlier_cosine: float, scale: float, rounds: int) -> Tensor:
    """What each image weighs for each class, (N + M, C): the labels' ``given`` (N, C), then soft k-means."""
    known, free = v[: len(given)], v[len(given) :]
    away = torch.where(given.sum(dim=0) == 0, -torch.inf, 0.0)
    sums = given.T @ known
    moved, shares = sums, free.new_zeros(len(free), given.shape[1])
    for _ in range(rounds):
        logits = F.pad(scale * (free @ unit(moved).T) + away, (0, 1), value=scale * outlier_cosine)
        shares = logits.softmax(dim=1)[:, :-1]
        moved = sums + shares.T @ free
    return torch.cat((given, shares))


def _balanced_ridge(z: Tensor, shares: Tensor, penalty: float) -> tuple[Tensor, Tensor]:
    """Weights (C, D) of the regression of shares (N + M, C), zeros for classes without any; and the middle
    (D,) of the rows where each class weighs the same."""
    mass = shares.sum(dim=0)
    known = mass > 0
    balanced = shares[:, known] * (mass[known].mean() / mass[known])
    total = balanced.sum(dim=1, keepdim=True)
    middle = (total * z).sum(dim=0) / total.sum()
    apart = z - middle
    moment = (total * apart).T @ apart
    moment.diagonal().add_(penalty)
    wanted = apart.T @ (balanced - total / len(balanced[0]))
    weight = z.new_zeros(len(mass), z.shape[1])
    weight[known] = torch.cholesky_solve(wanted, torch.linalg.cholesky(moment)).T
    return weight, middle
