"""Float64 NumPy references of the transfer algorithms, written from the published formulas, image by image
and key by key.

Everything that a gradient flows through is analytic in it: fed with ``w + ih d`` it returns ``f + ih f'd``,
so that the slope along d is exact and not a difference. What no gradient may flow through (keys, queues,
guesses, the network that training started from) is passed apart and stays real.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ssl_reference import cross_entropy, log_softmax, one_hot


def flat(pictures: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(pictures).reshape(len(pictures), -1)


def unit(rows: NDArray[Any]) -> NDArray[Any]:
    """Rows of length 1, without the absolute values that would not be analytic."""
    return rows / np.sqrt((rows * rows).sum(axis=1, keepdims=True))


def linear(w: dict[str, NDArray[Any]], name: str, x: NDArray[Any]) -> NDArray[Any]:
    return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]


def labeled(scores: NDArray[Any], labels: NDArray[Any]) -> Any:
    return cross_entropy(scores, one_hot(labels, scores.shape[1])).mean()


def moments(x: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Mean and biased variance of every channel of a batch (N, C) or (N, C, H, W)."""
    axes = (0, *range(2, x.ndim))
    mean = x.mean(axis=axes)
    return mean, ((x - mean.reshape(1, -1, *[1] * (x.ndim - 2))) ** 2).mean(axis=axes)


def batch_norm(
    w: dict[str, NDArray[Any]], name: str, x: NDArray[Any], mean: NDArray[Any], variance: NDArray[Any]
) -> NDArray[Any]:
    shape = (1, -1, *[1] * (x.ndim - 2))
    mean, variance, scale, shift = (
        v.reshape(shape) for v in (mean, variance, w[f"{name}.weight"], w[f"{name}.bias"])
    )
    return (x - mean) / np.sqrt(variance + 1e-5) * scale + shift


def stoch_norm(w: dict[str, NDArray[Any]], name: str, x: NDArray[Any], chosen: NDArray[Any]) -> NDArray[Any]:
    """(1 - s) z0 + s z1, z0 by the moving and z1 by the batch's statistics, s = ``chosen`` (C,) of 0 and
    1."""
    s = np.asarray(chosen, float).reshape(1, -1, *[1] * (x.ndim - 2))
    moving = batch_norm(w, name, x, w[f"{name}.running_mean"].real, w[f"{name}.running_var"].real)
    return (1 - s) * moving + s * batch_norm(w, name, x, *moments(x))


def moved(
    w: dict[str, NDArray[Any]], name: str, inputs: list[NDArray[Any]], momentum: float = 0.1
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Running mean and variance after the batches ``inputs``, one after the other."""
    mean, variance = w[f"{name}.running_mean"], w[f"{name}.running_var"]
    for x in inputs:
        count = x.size / x.shape[1]
        new = moments(x)
        mean = (1 - momentum) * mean + momentum * new[0]
        variance = (1 - momentum) * variance + momentum * new[1] * count / (count - 1)
    return mean, variance


# The test's small network: features tanh(norm(body(pixels))).


def before_norm(w: dict[str, NDArray[Any]], pictures: NDArray[Any]) -> NDArray[Any]:
    return flat(pictures) @ w["body.weight"].T


def features(w: dict[str, NDArray[Any]], pictures: NDArray[Any]) -> NDArray[Any]:
    x = before_norm(w, pictures)
    return np.tanh(batch_norm(w, "norm", x, *moments(x)))


# Mixing terms.


def decoupled(scores: NDArray[Any], a: Any, b: Any) -> Any:
    """-log of the softmax at a with the competitor b removed; 0 where they are one class. One row."""
    others = [c for c in range(len(scores)) if c != b]
    return 0.0 if a == b else -log_softmax(scores[None, others])[0, others.index(a)]


def pair_loss(
    scores: NDArray[Any],
    labels_a: NDArray[Any],
    labels_b: NDArray[Any],
    lam: NDArray[Any],
    eta: float,
    sides: tuple[bool, bool] = (True, True),
    power: float = 0.0,
) -> NDArray[Any]:
    """lam CE(a) + (1 - lam) CE(b) + eta (decoupled a + decoupled b), one value a row; a class with no share
    counts nothing."""
    values = []
    for row, a, b, share in zip(scores, labels_a, labels_b, lam, strict=True):
        logs = log_softmax(row[None])[0]
        value = -share * logs[a] - (1 - share) * logs[b]
        if sides[0] and share > 0:
            value += eta * share**power * decoupled(row, a, b)
        if sides[1] and share < 1:
            value += eta * (1 - share) ** power * decoupled(row, b, a)
        values.append(value)
    return np.array(values)


# Contrast with a queue of keys per class.


def pgc(
    query: NDArray[Any], key: NDArray[Any], queue: NDArray[Any], labels: NDArray[Any], temperature: float
) -> np.float64:
    """KL(t || softmax(logits)), t even on the own key and the keys of the class; queue (C, D, width). One
    query at a time."""
    depth = queue.shape[1]
    values = []
    for q, k, y in zip(query, key, labels, strict=True):
        logits = [q @ k, *[q @ positive for positive in queue[y]]]
        for c in range(len(queue)):
            if c != y:
                logits += [q @ negative for negative in queue[c]]
        logs = log_softmax(np.array(logits)[None] / temperature)[0]
        share = 1 / (depth + 1)
        values.append(sum(share * (np.log(share) - log) for log in logs[: depth + 1]))
    return np.mean(values)


def classifier_contrast(
    h: NDArray[Any], w: NDArray[Any], queue: NDArray[Any], labels: NDArray[Any], temperature: float
) -> np.float64:
    """Bi-Tuning's KL_y: the anchor is the class's own row of the classifier; h (N, D + 1) and the queue are
    what it is compared with."""
    depth = queue.shape[1]
    values = []
    for own, y in zip(h, labels, strict=True):
        anchor = w[y]
        logits = [own @ anchor, *[positive @ anchor for positive in queue[y]]]
        for c in range(len(queue)):
            if c != y:
                logits += [negative @ anchor for negative in queue[c]]
        logs = log_softmax(np.array(logits)[None] / temperature)[0]
        share = 1 / (depth + 1)
        values.append(sum(share * (np.log(share) - log) for log in logs[: depth + 1]))
    return np.mean(values)


def with_one(rows: NDArray[Any]) -> NDArray[Any]:
    """[f; 1], rows of length 1."""
    return unit(np.concatenate([rows, np.ones((len(rows), 1))], axis=1))


def pushed(
    keys: NDArray[Any], slots: NDArray[Any], new: NDArray[Any], labels: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """The queue after each key has replaced the oldest of its class, one by one."""
    keys, slots = keys.copy(), slots.copy()
    for key, y in zip(new, labels, strict=True):
        keys[y, slots[y]] = key
        slots[y] = (slots[y] + 1) % keys.shape[1]
    return keys, slots


# Regularizers.


def l2_sp(
    w: dict[str, NDArray[Any]],
    start: dict[str, NDArray[Any]],
    *,
    body_weight: float = 0.01,
    head_weight: float = 0.01,
) -> Any:
    """``start``: the trained parameters of the network as training began, without buffers."""
    body = sum(((w[n] - v) ** 2).sum() for n, v in start.items() if not n.startswith("head."))
    return body_weight / 2 * body + head_weight / 2 * head_squares(w)


def head_squares(w: dict[str, NDArray[Any]]) -> Any:
    return (w["head.weight"] ** 2).sum() + (w["head.bias"] ** 2).sum()


def smallest_squares(live: NDArray[Any], fixed: NDArray[Any], count: int) -> Any:
    """Sum of the ``count`` smallest squared singular values. Singular vectors, of the ``fixed`` batch, need
    no slope of their own."""
    left, values, _ = np.linalg.svd(fixed, full_matrices=False)
    order = np.argsort(values)[:count]
    return ((left[:, order].T @ live) ** 2).sum()


def co_tuning(source_scores: NDArray[Any], relationship: NDArray[Any], labels: NDArray[Any]) -> Any:
    """Mean over the batch of -sum_s R[y, s] log p(s)."""
    logs = log_softmax(source_scores)
    total = 0.0
    for row, y in zip(logs, labels, strict=True):
        total -= sum(relationship[y, s] * row[s] for s in range(len(row)))
    return total / len(labels)


def delta(maps: Any, start_maps: Any) -> Any:
    """Sum of squared differences of feature maps, over stages, images and channels, averaged over places
    (even attention)."""
    return sum(
        ((m - m0) ** 2).sum() / (m.shape[2] * m.shape[3]) for m, m0 in zip(maps, start_maps, strict=True)
    )


# The test's convolutional network: one plain stage, one residual block.


def convolution(w: dict[str, NDArray[Any]], name: str, x: NDArray[Any]) -> NDArray[Any]:
    """3 x 3 with zeros around, or 1 x 1: one shifted product per place of the kernel."""
    kernel = w[f"{name}.weight"]
    size = kernel.shape[2]
    edge = size // 2
    padded = np.pad(x, ((0, 0), (0, 0), (edge, edge), (edge, edge)))
    height, width = x.shape[2:]
    out: Any = 0
    for i in range(size):
        for j in range(size):
            out = out + np.einsum(
                "nchw,oc->nohw", padded[:, :, i : i + height, j : j + width], kernel[:, :, i, j]
            )
    return out


def convolutional(
    w: dict[str, NDArray[Any]], pictures: NDArray[Any], norm: Callable[..., Any]
) -> tuple[tuple[NDArray[Any], NDArray[Any]], NDArray[Any]]:
    """(Output of the last convolution of each stage, pooled features); ``norm(w, name, x)`` normalizes."""
    first = convolution(w, "first.0", pictures)
    x = np.tanh(norm(w, "first.1", first))
    inner = np.tanh(norm(w, "second.norm1", convolution(w, "second.conv1", x)))
    second = convolution(w, "second.conv2", inner)
    short = norm(w, "second.downsample.1", convolution(w, "second.downsample.0", x))
    out = np.tanh(norm(w, "second.norm2", second) + short)
    return (first, second), out.mean(axis=(2, 3))


def by_batch(w: dict[str, NDArray[Any]], name: str, x: NDArray[Any]) -> NDArray[Any]:
    return batch_norm(w, name, x, *moments(x))


def by_running(w: dict[str, NDArray[Any]], name: str, x: NDArray[Any]) -> NDArray[Any]:
    return batch_norm(w, name, x, w[f"{name}.running_mean"].real, w[f"{name}.running_var"].real)
