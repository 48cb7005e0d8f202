"""The references of the transfer algorithms against each other and against closed forms."""

from typing import Any

import numpy as np
import pytest
import torch
import transfer_reference as reference
from numpy.typing import NDArray
from transfer_nets import CLASSES, Bent, Convolutional, shaken, weights_of
from transfer_scene import SHAPE


def contrast_scene(
    seed: int, batch: int = 7, depth: int = 4, width: int = 6
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
    draw = np.random.default_rng(seed)
    query, key = (reference.unit(draw.standard_normal((batch, width))) for _ in range(2))
    queue = reference.unit(draw.standard_normal((CLASSES * depth, width))).reshape(CLASSES, depth, width)
    return query, key, queue, draw.integers(CLASSES, size=batch)


@pytest.mark.parametrize("seed", range(3))
def test_contrast_reference_against_its_closed_form(seed: int) -> None:
    """logsumexp of all 1 + D C logits - mean of the D + 1 positive ones - log(D + 1)."""
    query, key, queue, labels = contrast_scene(seed)
    everyone = np.einsum("nw,cdw->ncd", query, queue) / 0.07
    own = (query * key).sum(axis=1) / 0.07
    normalizer = np.logaddexp(own, np.logaddexp.reduce(everyone.reshape(len(query), -1), axis=1))
    positive = (own + everyone[np.arange(len(query)), labels].sum(axis=1)) / (queue.shape[1] + 1)
    closed = (normalizer - positive - np.log(queue.shape[1] + 1)).mean()
    assert reference.pgc(query, key, queue, labels, 0.07) == pytest.approx(closed, rel=1e-12)


def test_contrast_reference_with_nothing_learnt() -> None:
    """log(1 + D C) - log(1 + D): 5.27 with the paper's 200 classes and 32 keys."""
    query = np.eye(1, 4)
    other = np.eye(1, 4, 1)
    value = reference.pgc(query, other, np.broadcast_to(other[0], (200, 32, 4)), np.array([3]), 0.07)
    assert value == pytest.approx(np.log(6401 / 33), rel=1e-12) and round(value, 2) == 5.27


def test_queue_reference_against_first_in_first_out_lists() -> None:
    """A class's slots hold its last keys, oldest first from the next slot on."""
    draw = np.random.default_rng(0)
    keys, slots = draw.standard_normal((3, 4, 2)), np.zeros(3, int)
    lists = {c: list(keys[c]) for c in range(3)}
    for _ in range(20):
        new, labels = draw.standard_normal((9, 2)), draw.choice(3, 9, p=[0.7, 0.2, 0.1])
        keys, slots = reference.pushed(keys, slots, new, labels)
        for key, y in zip(new, labels, strict=True):
            lists[y] = [*lists[y][1:], key]
    for c in range(3):
        assert (np.roll(keys[c], -slots[c], axis=0) == np.array(lists[c])).all()


def test_decoupled_reference_has_no_gradient_at_the_competitor() -> None:
    scores = np.random.default_rng(0).standard_normal(CLASSES)
    for c in range(CLASSES):
        live = scores + 1j * 1e-30 * np.eye(CLASSES)[c]
        others = np.exp(np.delete(scores, 3))
        wanted = 0.0 if c == 3 else np.exp(scores[c]) / others.sum() - (c == 1)
        assert reference.decoupled(live, 1, 3).imag / 1e-30 == pytest.approx(wanted, abs=1e-12)


def test_network_references_against_the_networks() -> None:
    draw = np.random.default_rng(0)
    flat_net, deep_net = shaken(Bent(), draw), shaken(Convolutional(), draw)
    pictures = draw.standard_normal((4, *SHAPE))
    got = flat_net(torch.from_numpy(pictures)).detach()
    w = weights_of(flat_net)
    np.testing.assert_allclose(reference.linear(w, "head", reference.features(w, pictures)), got, rtol=1e-10)
    pictures = draw.standard_normal((4, 3, 4, 4))
    for training, norm in ((True, reference.by_batch), (False, reference.by_running)):
        w = weights_of(deep_net)
        got = deep_net.train(training).features(torch.from_numpy(pictures)).detach()
        np.testing.assert_allclose(reference.convolutional(w, pictures, norm)[1], got, rtol=1e-10)


def test_smallest_squares_are_the_smallest_eigenvalues_of_the_gram_matrix() -> None:
    rows = np.random.default_rng(0).standard_normal((5, 8))
    values = np.linalg.eigvalsh(rows @ rows.T)
    for count in (1, 2, 5):
        assert reference.smallest_squares(rows, rows, count) == pytest.approx(values[:count].sum(), rel=1e-9)
