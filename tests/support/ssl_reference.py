"""Float64 NumPy references of the semi-supervised losses, written from the published formulas.

Every loss takes its logits twice: ``live`` ones, through which a gradient would flow, and ``fixed`` ones,
from which targets, masks and state are made. With both the same it is the loss; with only ``live`` changed
its slope is the gradient that training should follow.
"""

from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray


def log_softmax(scores: NDArray[Any]) -> NDArray[Any]:
    shifted = scores - scores.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def softmax(scores: NDArray[Any]) -> NDArray[Any]:
    return np.exp(log_softmax(scores))


def one_hot(labels: NDArray[Any], num_classes: int) -> NDArray[Any]:
    return np.array([[float(label == k) for k in range(num_classes)] for label in labels])


def cross_entropy(scores: NDArray[Any], targets: NDArray[Any]) -> NDArray[Any]:
    """One value per row; targets are distributions."""
    return -(targets * log_softmax(scores)).sum(axis=1)


def sharpen(p: NDArray[Any], temperature: float) -> NDArray[Any]:
    powers = p ** (1 / temperature)
    return powers / powers.sum(axis=1, keepdims=True)


def sum_norm(x: NDArray[Any]) -> NDArray[Any]:
    return x / x.sum()


def ramp(progress: float, share: float) -> float:
    return 1.0 if share == 0 else min(1.0, progress / share)


def aligned(p: NDArray[Any], mean: NDArray[Any], wanted: Any) -> NDArray[Any]:
    ratio = p * wanted / mean
    return ratio / ratio.sum(axis=1, keepdims=True)


def supervised(live: dict[str, NDArray[Any]], labels: NDArray[Any]) -> np.float64:
    return cross_entropy(live["x"], one_hot(labels, live["x"].shape[1])).mean()


def hard(scores: NDArray[Any]) -> NDArray[Any]:
    return one_hot(scores.argmax(axis=1), scores.shape[1])


def pseudo_label(
    live: dict[str, NDArray[Any]],
    fixed: dict[str, NDArray[Any]],
    labels: NDArray[Any],
    progress: float,
    state: dict[Any, Any],
    *,
    threshold: float = 0.95,
    unlabeled_weight: float = 1.0,
    ramp_share: float = 0.4,
) -> tuple[np.float64, dict[str, np.float64], NDArray[Any]]:
    keep = softmax(fixed["weak"]).max(axis=1) >= threshold
    terms = {
        "loss/labeled": supervised(live, labels),
        "loss/unlabeled": (keep * cross_entropy(live["weak"], hard(fixed["weak"]))).mean(),
    }
    weight = unlabeled_weight * ramp(progress, ramp_share)
    return terms["loss/labeled"] + weight * terms["loss/unlabeled"], terms, keep


def consistency(
    live: Any,
    fixed: Any,
    labels: Any,
    progress: Any,
    state: Any,
    *,
    unlabeled_weight: Any,
    ramp_share: float = 0.4,
) -> Any:
    """Pi-Model and Mean Teacher: ``fixed["target"]`` are the logits of the other pass."""
    squares = (softmax(live["weak"]) - softmax(fixed["target"])) ** 2
    terms = {"loss/labeled": supervised(live, labels), "loss/unlabeled": squares.mean()}
    weight = unlabeled_weight * ramp(progress, ramp_share)
    return terms["loss/labeled"] + weight * terms["loss/unlabeled"], terms, np.ones(len(squares))


def kl(p: NDArray[Any], scores: NDArray[Any]) -> NDArray[Any]:
    """KL(p || softmax(scores)), one value per row."""
    return (p * (np.log(p) - log_softmax(scores))).sum(axis=1)


def vat(
    live: Any,
    fixed: Any,
    labels: Any,
    progress: Any,
    state: Any,
    *,
    unlabeled_weight: float = 1.0,
    entropy_weight: float = 0.06,
    ramp_share: float = 0.4,
) -> Any:
    """``live["moved"]`` are the logits of the images moved by r."""
    p = softmax(live["weak"])
    terms = {
        "loss/labeled": supervised(live, labels),
        "loss/unlabeled": kl(softmax(fixed["weak"]), live["moved"]).mean(),
        "loss/entropy": -(p * np.log(p)).sum(axis=1).mean(),
    }
    weight = unlabeled_weight * ramp(progress, ramp_share)
    total = terms["loss/labeled"] + weight * terms["loss/unlabeled"] + entropy_weight * terms["loss/entropy"]
    return total, terms, np.ones(len(p))


def annealed_threshold(kind: Any, progress: Any, num_classes: Any) -> Any:
    a = {
        "none": 1.0,
        "linear": progress,
        "exp": np.exp(5 * (progress - 1)),
        "log": 1 - np.exp(-5 * progress),
    }[kind]
    return a * (1 - 1 / num_classes) + 1 / num_classes


def uda(
    live: Any,
    fixed: Any,
    labels: Any,
    progress: Any,
    state: Any,
    *,
    threshold: float = 0.8,
    temperature: float = 0.4,
    unlabeled_weight: float = 1.0,
    tsa: str = "none",
    tsa_confidence: str = "true",
    tsa_mean: str = "batch",
) -> Any:
    p = softmax(fixed["x"])
    sure = p.max(axis=1) if tsa_confidence == "max" else np.array([p[i, y] for i, y in enumerate(labels)])
    counted = sure <= annealed_threshold(tsa, progress, p.shape[1]) if tsa != "none" else np.ones(len(p))
    losses = cross_entropy(live["x"], one_hot(labels, p.shape[1])) * counted
    divisor = len(p) if tsa_mean == "batch" else max(counted.sum(), 1)
    keep = softmax(fixed["weak"]).max(axis=1) >= threshold
    terms = {
        "loss/labeled": losses.sum() / divisor,
        "loss/unlabeled": (keep * cross_entropy(live["strong"], softmax(fixed["weak"] / temperature))).mean(),
    }
    return terms["loss/labeled"] + unlabeled_weight * terms["loss/unlabeled"], terms, keep


def weighted_hard(
    live: dict[str, NDArray[Any]],
    fixed: dict[str, NDArray[Any]],
    labels: NDArray[Any],
    weight: NDArray[Any],
    unlabeled_weight: float,
) -> tuple[np.float64, dict[str, np.float64], NDArray[Any]]:
    terms = {
        "loss/labeled": supervised(live, labels),
        "loss/unlabeled": (weight * cross_entropy(live["strong"], hard(fixed["weak"]))).mean(),
    }
    return terms["loss/labeled"] + unlabeled_weight * terms["loss/unlabeled"], terms, weight


def fixmatch(
    live: Any,
    fixed: Any,
    labels: Any,
    progress: Any,
    state: Any,
    *,
    threshold: float = 0.95,
    unlabeled_weight: float = 1.0,
) -> Any:
    keep = softmax(fixed["weak"]).max(axis=1) >= threshold
    return weighted_hard(live, fixed, labels, keep, unlabeled_weight)


MAPPINGS = {
    "convex": lambda x: x / (2 - x),
    "linear": lambda x: x,
    "concave": lambda x: np.log(x + 1) / np.log(2),
}


def learning_status(picture_class: NDArray[Any], num_classes: int, threshold_warmup: bool) -> NDArray[Any]:
    """beta of every class, counted the slow way."""
    counts = Counter(int(c) for c in picture_class)
    largest = max(counts[c] for c in range(num_classes))
    divisor = max(largest, counts[-1]) if threshold_warmup else largest
    return np.array([counts[c] / divisor if divisor else 0.0 for c in range(num_classes)])


def flexmatch(
    live: dict[str, NDArray[Any]],
    fixed: dict[str, NDArray[Any]],
    labels: NDArray[Any],
    progress: float,
    state: dict[str, NDArray[Any]],
    *,
    threshold: float = 0.95,
    mapping: str = "convex",
    threshold_warmup: bool = True,
    unlabeled_weight: float = 1.0,
) -> tuple[np.float64, dict[str, np.float64], NDArray[Any]]:
    p = softmax(fixed["weak"])
    beta = learning_status(state["learned.label"], p.shape[1], threshold_warmup)
    keep = p.max(axis=1) >= threshold * MAPPINGS[mapping](beta[p.argmax(axis=1)])
    return weighted_hard(live, fixed, labels, keep, unlabeled_weight)


def flexmatch_state(
    state: dict[str, NDArray[Any]],
    fixed: dict[str, NDArray[Any]],
    indices: NDArray[Any],
    *,
    threshold: float = 0.95,
    **_: Any,
) -> dict[str, NDArray[Any]]:
    known = {i: int(c) for i, c in enumerate(state["learned.label"])}
    for i, row in zip(indices, softmax(fixed["weak"]), strict=True):
        if row.max() >= threshold:
            known[int(i)] = int(row.argmax())
    classes = np.array([known[i] for i in range(len(known))])
    number = fixed["weak"].shape[1]
    counts = np.array([(classes == label).sum() for label in range(-1, number)])
    return {"learned.label": classes, "learned.counts": counts}


def average(old: Any, new: Any, decay: float) -> Any:
    return decay * old + (1 - decay) * new


def freematch_state(
    state: dict[str, Any],
    fixed: dict[str, NDArray[Any]],
    indices: NDArray[Any] | None,
    *,
    average_decay: float = 0.999,
    lowest_threshold: float = 0.0,
    highest_threshold: float = 1.0,
    **_: Any,
) -> dict[str, Any]:
    p = softmax(fixed["weak"])
    level = average(state["global_threshold"], p.max(axis=1).mean(), average_decay)
    return {
        "global_threshold": np.clip(level, lowest_threshold, highest_threshold),
        "class_mean": average(state["class_mean"], p.mean(axis=0), average_decay),
        "class_histogram": average(state["class_histogram"], hard(fixed["weak"]).mean(axis=0), average_decay),
    }


def fairness(
    live: dict[str, NDArray[Any]], fixed: dict[str, NDArray[Any]], keep: NDArray[Any], state: dict[str, Any]
) -> Any:
    """sum_c a_c log b_c over the classes that a kept strong view is guessed to be; 0 where none is kept."""
    if not keep.any():
        return 0.0
    histogram = hard(fixed["strong"])[keep].mean(axis=0)
    seen = histogram > 0
    a = sum_norm(state["class_mean"] / state["class_histogram"])
    b = sum_norm(softmax(live["strong"])[keep].mean(axis=0)[seen] / histogram[seen])
    return (a[seen] * np.log(b)).sum()


def freematch(
    live: dict[str, NDArray[Any]],
    fixed: dict[str, NDArray[Any]],
    labels: NDArray[Any],
    progress: float,
    state: dict[str, NDArray[Any]],
    *,
    fairness_weight: float = 0.001,
    unlabeled_weight: float = 1.0,
    **options: Any,
) -> tuple[Any, ...]:
    state = freematch_state(state, fixed, None, **options)
    p = softmax(fixed["weak"])
    thresholds = state["global_threshold"] * state["class_mean"] / state["class_mean"].max()
    keep = p.max(axis=1) >= thresholds[p.argmax(axis=1)]
    total, terms, _ = weighted_hard(live, fixed, labels, keep, unlabeled_weight)
    terms["loss/fairness"] = fairness(live, fixed, keep, state)
    return total + fairness_weight * terms["loss/fairness"], terms, keep


def softmatch_confidence(p: NDArray[Any], state: dict[str, Any]) -> NDArray[Any]:
    mean = state.get("adjust.mean_prediction")
    return (p if mean is None else aligned(p, mean, 1 / p.shape[1])).max(axis=1)


def softmatch_state(
    state: dict[str, Any],
    fixed: dict[str, NDArray[Any]],
    indices: NDArray[Any] | None,
    *,
    average_decay: float = 0.999,
    **_: Any,
) -> dict[str, Any]:
    p, new = softmax(fixed["weak"]), {}
    if "adjust.mean_prediction" in state:
        new["adjust.mean_prediction"] = average(
            state["adjust.mean_prediction"], p.mean(axis=0), average_decay
        )
    confidence = softmatch_confidence(p, new)
    return {
        **new,
        "confidence_mean": average(state["confidence_mean"], confidence.mean(), average_decay),
        "confidence_variance": average(state["confidence_variance"], confidence.var(ddof=1), average_decay),
    }


def softmatch(
    live: dict[str, NDArray[Any]],
    fixed: dict[str, NDArray[Any]],
    labels: NDArray[Any],
    progress: float,
    state: dict[str, NDArray[Any]],
    *,
    sigmas: float = 2.0,
    unlabeled_weight: float = 1.0,
    **options: Any,
) -> tuple[np.float64, dict[str, np.float64], NDArray[Any]]:
    state = softmatch_state(state, fixed, None, **options)
    confidence = softmatch_confidence(softmax(fixed["weak"]), state)
    below = np.minimum(confidence - state["confidence_mean"], 0)
    weight = np.exp(-(below**2) / (2 * state["confidence_variance"] / sigmas**2))
    return weighted_hard(live, fixed, labels, weight, unlabeled_weight)


def mixed_loss(
    live: NDArray[Any], targets: NDArray[Any], count: int, *, squared: bool
) -> tuple[np.float64, np.float64]:
    """(Mean cross-entropy of the first ``count`` mixed rows, mean loss of the others)."""
    losses = cross_entropy(live, targets)
    others = ((softmax(live) - targets) ** 2 if squared else losses[:, None])[count:]
    return losses[:count].mean(), others.mean()
