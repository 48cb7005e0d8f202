"""Every public name of the rooms for other people's loops, with whatever a loop may hand it.

Each answer is right, or one sentence of a ``UserError``; nothing else is raised, nothing is wrong in silence,
and inputs and global state stay as they were.
"""

import copy
import random
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from public_scene import (
    ENTRIES,
    NAMED,
    NO_TENSORS,
    REBALANCE,
    ROOMS,
    Entry,
    numbers,
    public_names,
    tensors_of,
)
from torch import Tensor

from ssl_mix.errors import UserError

EACH = pytest.mark.parametrize("entry", NAMED.values(), ids=NAMED)
FLOAT = [(name, key) for name, entry in NAMED.items() for key in entry.floats]
SHARE = [(name, key) for name, entry in NAMED.items() for key in entry.shares]
LABEL = [(name, key) for name, entry in NAMED.items() for key in entry.labels]
# A network of the user's own refuses in its own words what it does not take.
OURS = [(n, k) for n, e in NAMED.items() for k in e.inputs(4) if not e.network]
# What these look at need not be all they are given: two logits, the patches that are shown, nothing.
NOT_READ = {
    ("mixers.SnapMix", "images_b"),  # beyond the box that is read
    ("losses.lumix_lam", "logits"),
    ("mixers.PuzzleMix", "images_a"),
    ("mixers.PuzzleMix", "images_b"),
    ("mixers.Unmixed", "images_b"),
}
TENSOR = [(n, k) for n, e in NAMED.items() for k, v in e.inputs(4).items() if isinstance(v, Tensor)]


def result(entry: Entry, inputs: dict[str, Any]) -> Any:
    """What comes, or None where it is refused in one sentence."""
    try:
        return entry.call(**inputs)
    except UserError as error:
        text = str(error)
        assert 20 < len(text) < 400 and "\n" not in text, text
        return None


def changed(entry: Entry, key: str, change: Callable[[Tensor], Any], count: int = 4) -> dict[str, Any]:
    inputs = entry.inputs(count)
    return {**inputs, key: change(inputs[key])}


def assert_same(actual: Any, expected: Any, tolerance: float = 1e-5) -> None:
    for one, other in zip(tensors_of(actual), tensors_of(expected), strict=True):
        torch.testing.assert_close(one.double(), other.double(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("room", ROOMS)
def test_every_public_name_has_an_entry(room: str) -> None:
    assert public_names(room) == set(ENTRIES[room]) | NO_TENSORS.get(room, set())


@EACH
def test_a_valid_call_is_repeatable_and_leaves_everything_as_it_was(entry: Entry) -> None:
    inputs = entry.inputs(4)
    copies = copy.deepcopy(inputs)
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    first = entry.call(**inputs)
    assert all(part.isfinite().all() for part in numbers(first)) and list(tensors_of(first))
    assert torch.equal(before[0], torch.get_rng_state())
    assert (before[1] == np.random.get_state()[1]).all() and before[2] == random.getstate()
    assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
    assert_same(entry.call(**inputs), first, 0)
    for key, value in inputs.items():
        assert torch.equal(value, copies[key]), key
    with torch.no_grad():
        assert_same(entry.call(**inputs), first, 1e-6)


@EACH
def test_one_sample(entry: Entry) -> None:
    found = result(entry, entry.inputs(1))
    assert found is not None and all(part.isfinite().all() for part in numbers(found))


@EACH
def test_an_empty_batch(entry: Entry) -> None:
    if entry.call is NAMED["mixers.capture_class_attention"].call:
        pytest.skip("the network runs before anything of ours")
    found = result(entry, entry.inputs(0))
    if entry in REBALANCE.values():  # the mean over nothing is NaN, as PyTorch's
        assert found.isnan()
        return
    assert found is None or all(part.isfinite().all() for part in numbers(found))


@pytest.mark.parametrize(("name", "key"), TENSOR)
def test_strides_do_not_matter(name: str, key: str) -> None:
    def strided(given: Tensor) -> Tensor:
        spread = torch.stack((given, given), -1)[..., 0]
        return spread if given.ndim < 2 else given.transpose(0, 1).contiguous().transpose(0, 1)

    entry = NAMED[name]
    assert_same(entry.call(**changed(entry, key, strided)), entry.call(**entry.inputs(4)))


@pytest.mark.parametrize(("name", "key"), FLOAT)
def test_what_is_not_finite_shows_or_is_refused(name: str, key: str) -> None:
    def spoiled(given: Tensor, value: float) -> Tensor:
        given = given.clone()
        given.view(len(given), -1)[1, 0] = value
        return given

    entry = NAMED[name]
    right = entry.call(**entry.inputs(4))
    for value in (float("nan"), float("inf"), float("-inf")):
        found = result(entry, changed(entry, key, partial(spoiled, value=value)))
        shown = found is None or not all(part.isfinite().all() for part in numbers(found))
        if not shown and (name, key) not in NOT_READ:  # exp(-inf) is 0, and what is exactly 0 is a value
            assert entry.nan_is_wrong or value == float("-inf"), value
            assert list(tensors_of(found))[0].shape == list(tensors_of(right))[0].shape


def with_second(value: float, given: Tensor) -> Tensor:
    """A copy whose second number is ``value``."""
    given = given.clone()
    given.view(-1)[1] = value
    return given


@pytest.mark.parametrize(("name", "key"), SHARE)
def test_shares_beyond_the_unit_interval_are_refused(name: str, key: str) -> None:
    entry = NAMED[name]
    for value in (1.5, -0.5, float("nan"), float("inf")):
        assert result(entry, changed(entry, key, partial(with_second, value))) is None, value
        if key == "lam" and name not in ("losses.rescale_lam", "mixers.transmix_lam", "mixing.MixingLoss"):
            assert result(entry, {**entry.inputs(4), key: value}) is None, value


@pytest.mark.parametrize(("name", "key"), LABEL)
def test_labels_that_are_no_class_are_refused(name: str, key: str) -> None:
    for value in (-7, 10**5):
        assert result(NAMED[name], changed(NAMED[name], key, partial(with_second, value))) is None, value


@pytest.mark.parametrize(("name", "key"), [pair for pair in FLOAT if pair in OURS])
def test_floats_of_every_width(name: str, key: str) -> None:
    entry = NAMED[name]
    inputs = entry.inputs(4)
    for dtype in (torch.float64, torch.bfloat16, torch.float16):
        narrow = {k: v.to(dtype) if k in entry.floats else v for k, v in inputs.items()}
        found = result(entry, narrow)
        if found is None:
            continue
        exact = entry.call(**{k: v.float() if k in entry.floats else v for k, v in narrow.items()})
        assert_same(found, exact, 1e-5 if dtype == torch.float64 else 0.02)
        if name.startswith("losses."):
            expected = torch.float64 if dtype == torch.float64 else torch.float32
            assert {part.dtype for part in numbers(found)} == {expected}


@pytest.mark.parametrize(("name", "key"), TENSOR)
def test_gradients_flow_or_there_are_none(name: str, key: str) -> None:
    entry = NAMED[name]
    inputs = entry.inputs(4)
    if not inputs[key].is_floating_point():
        pytest.skip("whole numbers have none")
    expected = entry.call(**inputs)
    given = inputs[key].requires_grad_()
    found = entry.call(**inputs)
    assert_same(found, expected, 1e-6)
    with_graph = [part for part in numbers(found) if part.requires_grad]
    if with_graph:
        sum(part.sum() for part in with_graph).backward()  # type: ignore[union-attr]
        assert given.grad is None or given.grad.isfinite().all()


@pytest.mark.parametrize(("name", "key"), OURS)
def test_tensors_of_another_device_are_refused_by_name(name: str, key: str) -> None:
    entry = NAMED[name]
    found = result(entry, changed(entry, key, lambda given: given.to("meta")))
    assert found is None or {part.device.type for part in tensors_of(found)} == {"meta"}


WRONG: dict[str, Callable[[Tensor], Any]] = {
    "short": lambda given: given[:-1],
    "axes": lambda given: given[..., None, None, None],
    "0-d": lambda given: given.flatten()[0],
    "list": lambda given: given.tolist(),
    "None": lambda given: None,
}


@pytest.mark.parametrize(("name", "key"), OURS)
def test_wrong_shapes_and_types_are_refused(name: str, key: str) -> None:
    """But for a single tensor whose length is free."""
    entry = NAMED[name]
    for kind, change in WRONG.items():
        inputs = changed(entry, key, change)
        if inputs[key] is None and (name, key) in OPTIONAL:
            continue
        if isinstance(inputs[key], list) and (name, key) in LISTED:
            assert_same(entry.call(**inputs), entry.call(**entry.inputs(4)))
            continue
        found = result(entry, inputs)
        if found is not None:
            assert isinstance(inputs[key], Tensor), kind
            free = len(inputs) == 1 or (name, key) in FREE_LENGTH
            assert free or inputs[key].ndim == 0 and key in entry.shares, kind


FREE_LENGTH = {
    ("datasets.tensor_data", "inputs"),  # of any shape
    ("losses.group_contrast", "queue"),
    ("evaluation.ood_metrics", "in_scores"),
    ("evaluation.ood_metrics", "out_scores"),
    *((f"labeling.{name}", key) for name in ("diverse", "typiclust") for key in ("features", "known")),
}
OPTIONAL = {(n, "lam") for n in NAMED if n.startswith("mixers.") or n == "losses.decoupled_cross_entropy"}
# A list of numbers is as good as a tensor.
LISTED = {
    ("datasets.ShuffledIndex", "index"),
    ("datasets.StreamedImages", "images"),
    ("datasets.as_dataset", "labels"),
    ("datasets.tensor_data", "inputs"),
    ("datasets.tensor_data", "labels"),
}
OPTIONAL |= {("evaluation.patch_drop", "saliency")}
OPTIONAL |= {("labeling.diverse", "known"), ("labeling.typiclust", "known")}


@EACH
def test_whole_numbers_in_the_place_of_floats(entry: Entry) -> None:
    """Refused, or computed as the same floats are."""
    if entry.network:
        pytest.skip("the network says what it takes")
    for key in entry.floats:
        whole = changed(entry, key, lambda given: (given * 3).to(torch.uint8))
        found = result(
            entry, {k: (v * 3).to(torch.uint8) if k in entry.floats else v for k, v in whole.items()}
        )
        if found is not None:
            same = {k: (v * 3).to(torch.uint8).float() if k in entry.floats else v for k, v in whole.items()}
            assert_same(found, entry.call(**same))
