"""Float64 NumPy references of the semi-supervised losses, written from the published formulas.

Every loss takes its logits twice: ``live`` ones, through which a gradient would flow, and ``fixed`` ones,
from which targets, masks and state are made. With both the same it is the loss; with only ``live`` changed
its slope is the gradient that training should follow.
"""

from collections import Counter

import numpy as np


def log_softmax(scores):
    shifted = scores - scores.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def softmax(scores):
    return np.exp(log_softmax(scores))


def one_hot(labels, num_classes):
    return np.array([[float(label == k) for k in range(num_classes)] for label in labels])


def cross_entropy(scores, targets):
    """One value per row; targets are distributions."""
    return -(targets * log_softmax(scores)).sum(axis=1)


def sharpen(p, temperature):
    powers = p ** (1 / temperature)
    return powers / powers.sum(axis=1, keepdims=True)


def sum_norm(x):
    return x / x.sum()


def ramp(progress, share):
    return 1.0 if share == 0 else min(1.0, progress / share)


def aligned(p, mean, wanted):
    ratio = p * wanted / mean
    return ratio / ratio.sum(axis=1, keepdims=True)


def supervised(live, labels):
    return cross_entropy(live["x"], one_hot(labels, live["x"].shape[1])).mean()


def hard(scores):
    return one_hot(scores.argmax(axis=1), scores.shape[1])


def pseudo_label(
    live, fixed, labels, progress, state, *, threshold=0.95, unlabeled_weight=1.0, ramp_share=0.4
):
    keep = softmax(fixed["weak"]).max(axis=1) >= threshold
    terms = {
        "loss/labeled": supervised(live, labels),
        "loss/unlabeled": (keep * cross_entropy(live["weak"], hard(fixed["weak"]))).mean(),
    }
    weight = unlabeled_weight * ramp(progress, ramp_share)
    return terms["loss/labeled"] + weight * terms["loss/unlabeled"], terms, keep


def consistency(live, fixed, labels, progress, state, *, unlabeled_weight, ramp_share=0.4):
    """Pi-Model and Mean Teacher: ``fixed["target"]`` are the logits of the other pass."""
    squares = (softmax(live["weak"]) - softmax(fixed["target"])) ** 2
    terms = {"loss/labeled": supervised(live, labels), "loss/unlabeled": squares.mean()}
    weight = unlabeled_weight * ramp(progress, ramp_share)
    return terms["loss/labeled"] + weight * terms["loss/unlabeled"], terms, np.ones(len(squares))


def kl(p, scores):
    """KL(p || softmax(scores)), one value per row."""
    return (p * (np.log(p) - log_softmax(scores))).sum(axis=1)


def vat(live, fixed, labels, progress, state, *, unlabeled_weight=1.0, entropy_weight=0.06, ramp_share=0.4):
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


def annealed_threshold(kind, progress, num_classes):
    a = {
        "none": 1.0,
        "linear": progress,
        "exp": np.exp(5 * (progress - 1)),
        "log": 1 - np.exp(-5 * progress),
    }[kind]
    return a * (1 - 1 / num_classes) + 1 / num_classes


def uda(
    live, fixed, labels, progress, state, *, threshold=0.8, temperature=0.4, unlabeled_weight=1.0, tsa="none",
    tsa_confidence="true", tsa_mean="batch",
):  # fmt: skip
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


def weighted_hard(live, fixed, labels, weight, unlabeled_weight):
    terms = {
        "loss/labeled": supervised(live, labels),
        "loss/unlabeled": (weight * cross_entropy(live["strong"], hard(fixed["weak"]))).mean(),
    }
    return terms["loss/labeled"] + unlabeled_weight * terms["loss/unlabeled"], terms, weight


def fixmatch(live, fixed, labels, progress, state, *, threshold=0.95, unlabeled_weight=1.0):
    keep = softmax(fixed["weak"]).max(axis=1) >= threshold
    return weighted_hard(live, fixed, labels, keep, unlabeled_weight)


MAPPINGS = {
    "convex": lambda x: x / (2 - x),
    "linear": lambda x: x,
    "concave": lambda x: np.log(x + 1) / np.log(2),
}


def learning_status(picture_class, num_classes, threshold_warmup):
    """beta of every class, counted the slow way."""
    counts = Counter(int(c) for c in picture_class)
    largest = max(counts[c] for c in range(num_classes))
    divisor = max(largest, counts[-1]) if threshold_warmup else largest
    return np.array([counts[c] / divisor if divisor else 0.0 for c in range(num_classes)])


def flexmatch(
    live, fixed, labels, progress, state, *, threshold=0.95, mapping="convex", threshold_warmup=True,
    unlabeled_weight=1.0,
):  # fmt: skip
    p = softmax(fixed["weak"])
    beta = learning_status(state["image_class"], p.shape[1], threshold_warmup)
    keep = p.max(axis=1) >= threshold * MAPPINGS[mapping](beta[p.argmax(axis=1)])
    return weighted_hard(live, fixed, labels, keep, unlabeled_weight)


def flexmatch_state(state, fixed, indices, *, threshold=0.95, **_):
    known = {i: int(c) for i, c in enumerate(state["image_class"])}
    for i, row in zip(indices, softmax(fixed["weak"]), strict=True):
        if row.max() >= threshold:
            known[int(i)] = int(row.argmax())
    return {"image_class": np.array([known[i] for i in range(len(known))])}


def average(old, new, decay):
    return decay * old + (1 - decay) * new


def freematch_state(
    state, fixed, indices, *, average_decay=0.999, lowest_threshold=0.0, highest_threshold=1.0, **_
):
    p = softmax(fixed["weak"])
    level = average(state["global_threshold"], p.max(axis=1).mean(), average_decay)
    return {
        "global_threshold": np.clip(level, lowest_threshold, highest_threshold),
        "class_mean": average(state["class_mean"], p.mean(axis=0), average_decay),
        "class_histogram": average(state["class_histogram"], hard(fixed["weak"]).mean(axis=0), average_decay),
    }


def fairness(live, fixed, keep, state):
    """sum_c a_c log b_c over the classes that a kept strong view is guessed to be; 0 where none is kept."""
    if not keep.any():
        return 0.0
    histogram = hard(fixed["strong"])[keep].mean(axis=0)
    seen = histogram > 0
    a = sum_norm(state["class_mean"] / state["class_histogram"])
    b = sum_norm(softmax(live["strong"])[keep].mean(axis=0)[seen] / histogram[seen])
    return (a[seen] * np.log(b)).sum()


def freematch(
    live, fixed, labels, progress, state, *, fairness_weight=0.001, unlabeled_weight=1.0, **options
):
    state = freematch_state(state, fixed, None, **options)
    p = softmax(fixed["weak"])
    thresholds = state["global_threshold"] * state["class_mean"] / state["class_mean"].max()
    keep = p.max(axis=1) >= thresholds[p.argmax(axis=1)]
    total, terms, _ = weighted_hard(live, fixed, labels, keep, unlabeled_weight)
    terms["loss/fairness"] = fairness(live, fixed, keep, state)
    return total + fairness_weight * terms["loss/fairness"], terms, keep


def softmatch_confidence(p, class_mean, align):
    return (aligned(p, class_mean, 1 / p.shape[1]) if align else p).max(axis=1)


def softmatch_state(state, fixed, indices, *, average_decay=0.999, align=True, **_):
    p = softmax(fixed["weak"])
    class_mean = average(state["class_mean"], p.mean(axis=0), average_decay)
    confidence = softmatch_confidence(p, class_mean, align)
    return {
        "class_mean": class_mean,
        "confidence_mean": average(state["confidence_mean"], confidence.mean(), average_decay),
        "confidence_variance": average(state["confidence_variance"], confidence.var(ddof=1), average_decay),
    }


def softmatch(
    live, fixed, labels, progress, state, *, sigmas=2.0, align=True, unlabeled_weight=1.0, **options
):
    state = softmatch_state(state, fixed, None, align=align, **options)
    confidence = softmatch_confidence(softmax(fixed["weak"]), state["class_mean"], align)
    below = np.minimum(confidence - state["confidence_mean"], 0)
    weight = np.exp(-(below**2) / (2 * state["confidence_variance"] / sigmas**2))
    return weighted_hard(live, fixed, labels, weight, unlabeled_weight)


def mixed_loss(live, targets, count, *, squared):
    """(Mean cross-entropy of the first ``count`` mixed rows, mean loss of the others)."""
    losses = cross_entropy(live, targets)
    others = ((softmax(live) - targets) ** 2 if squared else losses[:, None])[count:]
    return losses[:count].mean(), others.mean()
