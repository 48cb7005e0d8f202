"""Where the head of a pre-trained network starts: linear classifiers of frozen features, without training the
network."""

import warnings
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssl_mix.errors import UserError, check_count, check_not_negative, check_positive, check_seed
from ssl_mix.imported import imported
from ssl_mix.passes import backbone
from ssl_mix.randomness import stream_seed

STRENGTHS = (0.1, 1.0, 10.0)
DEFAULT_STRENGTH = 1.0
FOLDS = 3
LABELS_TO_CHOOSE = 6  # of each class: with fewer, folds tell strengths apart by chance alone
MOST_TO_CHOOSE = 2000  # labels in all: with more, strengths hardly matter and take minutes
MAX_ITERATIONS = 1000
NEVER = -100.0  # a bias that no logit outweighs, and from which training can come back
TINY = 1e-12


class LinearHead(NamedTuple):
    """A linear classifier of features: logits are ``features @ weight.T + bias``.

    Attributes:
        weight: (C, D) float32.
        bias: (C,) float32.
        strength: inverse strength of the regularization that it was fitted with (C of scikit-learn); 0 where
            there was none.
    """

    weight: Tensor
    bias: Tensor
    strength: float = 0.0

    def __call__(self, features: Tensor) -> Tensor:
        """Logits (N, C) of features (N, D)."""
        return F.linear(features, self.weight, self.bias)

    @torch.no_grad()
    def apply_to(self, net: nn.Module) -> None:
        """Copy the weights into ``net.head``.

        Raises:
            ValueError: the network has no linear head, one of another shape, or one without a bias.
        """
        head = backbone(net).head
        if head.weight.shape != self.weight.shape:
            raise UserError(
                f"the head must have weights of shape {list(self.weight.shape)}, got "
                f"{list(head.weight.shape)}"
            )
        if head.bias is None:
            raise UserError("a head that starts from features needs a bias: take `head_start=random`")
        head.weight.copy_(self.weight)
        head.bias.copy_(self.bias)


def probe(features: Tensor, labels: Tensor, num_classes: int, *, seed: int = 0) -> LinearHead:
    """Multinomial logistic regression on features as they are, neither centered nor scaled: the linear probe.

    It minimizes ``strength * sum_i CE(W f_i + b, y_i) + |W|^2 / 2`` over W and b, as scikit-learn does. The
    strength is the one of ``STRENGTHS`` with the best accuracy in stratified 3-fold cross-validation, the
    smallest of equally good ones, where each class has at least 6 labels and all have at most 2000; else 1.
    The features are rotated into the space that they span before the fit, which changes nothing but the time
    it takes.

    Two classes with labels are fitted as scikit-learn fits two, with one row for the second against the
    first. A class without labels has a row of zeros and a bias that keeps it from being predicted.

    Args:
        features: (N, D) float; computed on the CPU in float64.
        labels: (N,) int64 in [0, C).
        num_classes: C.
        seed: of the folds.

    Raises:
        ValueError: a shape or a label is wrong, there is no label, or a feature is NaN or infinite.

    Source: as in Kumar et al., "Fine-Tuning can Distort Pretrained Features" (ICLR 2022), whose runs start
    from a probe's head (LP-FT). Features are left as they are so that the number is the one that anybody's
    logistic regression gives; on EfficientNet-Lite0 centered ones of unit deviation or length were no better.
    """
    check_labeled(features, labels, num_classes)
    check_seed("seed", seed)
    x, y = features.detach().double().cpu(), labels.cpu()
    counts = torch.bincount(y, minlength=num_classes)
    weight, bias = x.new_zeros(num_classes, x.shape[1]), x.new_zeros(num_classes)
    known = counts.nonzero()[:, 0]
    strength = DEFAULT_STRENGTH
    if len(known) > 1:
        basis, rotated = spanned(x)
        if int(counts[known].min()) >= LABELS_TO_CHOOSE and len(x) <= MOST_TO_CHOOSE:
            strength = _best_strength(rotated, y, seed)
        fitted = _fit(rotated, y, strength)
        rows, offsets = torch.from_numpy(fitted.coef_), torch.from_numpy(fitted.intercept_)
        if len(known) == 2:  # one row for both: the second against the first
            rows, offsets = torch.cat((-rows, rows)) / 2, torch.cat((-offsets, offsets)) / 2
        weight[known], bias[known] = rows @ basis.T, offsets
    return LinearHead(weight.float(), never(bias, counts).float(), strength)


def spanned(x: Tensor) -> tuple[Tensor, Tensor]:
    """An orthonormal basis (D, R) of the space of features (N, D), and what they are in it, (N, R)."""
    if len(x) >= x.shape[1]:
        return torch.eye(x.shape[1], dtype=x.dtype), x
    basis = torch.linalg.qr(x.T).Q
    return basis, x @ basis


def _fit(x: Tensor, y: Tensor, strength: float) -> Any:
    fitted = imported("sklearn.linear_model").LogisticRegression(C=strength, max_iter=MAX_ITERATIONS)
    with warnings.catch_warnings():
        # close enough for a start
        warnings.simplefilter("ignore", imported("sklearn.exceptions").ConvergenceWarning)
        warnings.filterwarnings("ignore", "The number of unique classes")  # one label a class is usual here
        return fitted.fit(x.numpy(), y.numpy())


def _best_strength(x: Tensor, y: Tensor, seed: int) -> float:
    folds = imported("sklearn.model_selection").StratifiedKFold(
        FOLDS, shuffle=True, random_state=stream_seed(seed, "probe") % 2**32
    )
    scores = []
    for train, held_out in folds.split(x, y):
        fits = [_fit(x[train], y[train], strength) for strength in STRENGTHS]
        scores.append([fit.score(x[held_out].numpy(), y[held_out].numpy()) for fit in fits])
    return STRENGTHS[int(np.argmax(np.round(np.mean(scores, axis=0), 9)))]


def never(bias: Tensor, counts: Tensor) -> Tensor:
    """Biases (C,), with one for classes without labels that keeps them from being predicted."""
    return torch.where(counts == 0, NEVER, bias)


def prototypes(
    features: Tensor,
    labels: Tensor,
    unlabeled: Tensor,
    num_classes: int,
    *,
    label_weight: float = 2.0,
    outlier_cosine: float | None = 0.4,
    scale: float = 20.0,
    rounds: int = 20,
) -> LinearHead:
    """Class means that unlabeled images move: soft k-means on the sphere.

    With the mean mu of all features, ``z = (f - mu) / |f - mu|``. A class c with n_c labels has the mean m_c
    of its labeled z, and begins with w_c = m_c. In each round an unlabeled image belongs to class c by
    ``p_c = softmax(scale * cos(z, w))_c`` among the classes and one more, of outliers, whose cosine to
    everything is ``outlier_cosine``. Then ``w_c = (a_c m_c + sum_u p_uc z_u) / (a_c + sum_u p_uc)`` with
    a_c = ``label_weight`` n_c: however many images gather around them, the labels keep that weight. Without
    unlabeled images that leaves the nearest class mean by cosine. The logits are ``scale * cos(f - mu, w_c)
    |f - mu| / s``, s the mean of |f - mu|, which is linear in f. A class without labels is never predicted.

    Alone it gains most where the unlabeled images are balanced, and falls below the probe where they are not
    and labels are many; the sum with the probe, :func:`summed`, is a start for all cases.

    Args:
        features: of labeled images, (N, D) float; computed on the CPU in float64.
        labels: (N,) int64 in [0, C).
        unlabeled: features of unlabeled images, (M, D); M may be 0.
        num_classes: C.
        label_weight: how many unlabeled images a labeled one weighs.
        outlier_cosine: an image that is closer than this to no class moves few of them; None for no outliers.
        scale: T, of cosines.
        rounds: of k-means.

    Raises:
        ValueError: a shape, a label or an option is wrong, there is no label, or a feature is NaN or
            infinite.

    Source: Ren et al., "Meta-Learning for Semi-Supervised Few-Shot Classification" (ICLR 2018), soft k-means
    with a distractor cluster; there labeled images weigh as much as unlabeled ones, distances are Euclidean
    and the distractor is a cluster at the origin.
    """
    check_labeled(features, labels, num_classes)
    check_positive("label_weight", label_weight)
    check_positive("scale", scale)
    check_not_negative("rounds", rounds)
    if unlabeled.ndim != 2 or unlabeled.shape[1] != features.shape[1]:
        raise UserError(f"unlabeled must be (M, {features.shape[1]}), got {tuple(unlabeled.shape)}")
    if outlier_cosine is not None and not -1 <= outlier_cosine <= 1:
        raise UserError(f"outlier_cosine must lie in [-1, 1] or be None, got {outlier_cosine}")
    x, u, y = features.detach().double().cpu(), unlabeled.detach().double().cpu(), labels.cpu()
    every = torch.cat((x, u))
    center = every.mean(dim=0)
    spread = (every - center).norm(dim=1).mean().clamp_min(TINY)
    counts = torch.bincount(y, minlength=num_classes)
    sums = torch.zeros(num_classes, x.shape[1], dtype=x.dtype).index_add_(0, y, unit(x - center))
    z, kept = unit(u - center), label_weight * counts[:, None]
    away = torch.where(counts == 0, NEVER, 0.0)
    moved = sums
    for _ in range(rounds if len(z) else 0):
        logits = scale * (z @ unit(moved).T) + away
        if outlier_cosine is not None:
            logits = F.pad(logits, (0, 1), value=scale * outlier_cosine)
        shares = logits.softmax(dim=1)[:, :num_classes]
        moved = (label_weight * sums + shares.T @ z) / (kept + shares.sum(dim=0)[:, None]).clamp_min(TINY)
    weight = scale / spread * unit(moved)
    weight[counts == 0] = 0.0
    return LinearHead(weight.float(), never(-weight @ center, counts).float())


def summed(first: LinearHead, second: LinearHead) -> LinearHead:
    """The head whose logits are the sums of those of two: their product of experts. Its strength is that of
    the first.

    The probe and prototypes err differently. EfficientNet-Lite0, 50 classes of Caltech-101 at 96 pixels, six
    splits, gain over the probe with 2, 5 and 10 labels a class: 7.3, 2.4, 0.8 points where the unlabeled
    images are balanced, 3.0, 0.6, 0.1 where class sizes fall 25 : 1, and 5.4, 0.9, 0.0 where a third are of
    other classes; prototypes alone lose 1.8 in the last case.
    """
    return LinearHead(first.weight + second.weight, first.bias + second.bias, first.strength)


def blended(first: LinearHead, second: LinearHead, features: Tensor, share: float = 0.5) -> LinearHead:
    """The head with logits ``(a + share * (s / t) * b) / (1 + share)``, a and b those of two heads, s and t
    their deviations from the mean over the classes of an image, over all images. Its strength is that of the
    second. Classes that the first never predicts are not predicted.

    A probe errs differently from classes that were sought among unlabeled images, above all where those are
    few or of other classes.

    Args:
        first: a head.
        second: another, for the same classes.
        features: of images, (N, D).
        share: of the second.
    """
    known = first.bias > NEVER / 2
    scales = [_deviation(head(features)[:, known]) for head in (first, second)]
    factor = share * scales[0] / max(scales[1], TINY)
    weight, bias = (
        (ours + factor * theirs) / (1 + share)
        for ours, theirs in ((first.weight, second.weight), (first.bias, second.bias))
    )
    return LinearHead(weight, torch.where(known, bias, NEVER), second.strength)


def _deviation(logits: Tensor) -> float:
    """Root of the mean square of logits (N, C) less the mean of each row."""
    return float((logits - logits.mean(dim=1, keepdim=True)).square().mean().sqrt())


def unit(vectors: Tensor) -> Tensor:
    """Rows (N, D) of length 1."""
    return F.normalize(vectors, dim=1)


def check_labeled(features: Tensor, labels: Tensor, num_classes: int) -> None:
    """Raise unless these are finite features (N, D), N of at least 1, and labels (N,) in [0, C)."""
    check_count("num_classes", num_classes)
    if features.ndim != 2 or not features.is_floating_point() or not len(features):
        raise UserError(
            f"features must be float (N, D) with N of at least 1, got {features.dtype} "
            f"{tuple(features.shape)}"
        )
    if labels.shape != features.shape[:1] or labels.dtype != torch.int64:
        raise UserError(f"labels must be int64 ({len(features)},), got {labels.dtype} {tuple(labels.shape)}")
    if int(labels.min()) < 0 or int(labels.max()) >= num_classes:
        raise UserError(
            f"labels must lie in [0, {num_classes}), got {int(labels.min())} to {int(labels.max())}"
        )
    if not features.isfinite().all():
        raise UserError("features must be finite, and some are NaN or infinite: are these the right weights?")
