"""Every algorithm is the loss of a loop that knows nothing of this package's data sets and trainer."""

import re

import pytest
import torch
from torch import Tensor

from ssl_mix import (
    Algorithm,
    Batch,
    Nets,
    PseudoLabelBank,
    Samples,
    Step,
    StepOutput,
    Task,
    Teacher,
    UserError,
)
from ssl_mix.algorithms import ALGORITHMS, TRANSFER, FixMatch, Supervised
from ssl_mix.models import build_model
from ssl_mix.targets import hard_pseudo_labels

UNLABELED = 12
# These need to know which image is which.
REMEMBERS = {"finessl", "flexmatch", "simmatch", "simmatchv2", "v-pet"}


def views(names: tuple[str, ...], count: int) -> dict[str, Tensor]:
    return {name: torch.randn(count, 1, 8, 8) for name in names}


def batch_for(algorithm: Algorithm, indices: Tensor | None) -> Batch:
    positions = None if indices is None else torch.arange(6)
    labeled = Samples(views(algorithm.labeled_views, 6), positions, torch.arange(6) % 3)
    if not algorithm.unlabeled_views:
        return Batch(labeled)
    return Batch(labeled, Samples(views(algorithm.unlabeled_views, UNLABELED), indices))


def loop(algorithm: Algorithm, indices: Tensor | None) -> list[StepOutput]:
    """Three steps of the loop of ``Algorithm``'s docstring."""
    torch.manual_seed(0)
    student = algorithm.extend(build_model("small-cnn", 3, channels=1), Task(3, UNLABELED, (1, 8, 8), 6))
    teacher = Teacher(student, decay=0.9)
    optimizer = torch.optim.SGD([*student.parameters(), *algorithm.parameters()], lr=0.1)
    outputs = []
    for number in range(3):
        output = algorithm(Nets(student, teacher.net), batch_for(algorithm, indices), Step(number, 3))
        optimizer.zero_grad()
        output.loss.backward()
        optimizer.step()
        algorithm.commit(output.carry)
        teacher.update(number)
        outputs.append(output)
    return outputs


@pytest.mark.parametrize("name", sorted(ALGORITHMS.keys() - TRANSFER.keys()))
def test_an_algorithm_needs_no_indices_and_no_generator(name: str) -> None:
    algorithm = ALGORITHMS[name]()
    outputs = loop(algorithm, torch.arange(UNLABELED) if name in REMEMBERS else None)
    assert all(output.loss.isfinite() for output in outputs)
    again = loop(ALGORITHMS[name](), torch.arange(UNLABELED) if name in REMEMBERS else None)
    assert [x.loss.item() for x in outputs] == [x.loss.item() for x in again]


@pytest.mark.parametrize("name", sorted(REMEMBERS))
def test_what_remembers_single_images_asks_for_their_indices(name: str) -> None:
    with pytest.raises(UserError, match="positions in the (un)?labeled part, got None"):
        loop(ALGORITHMS[name](), None)


def test_the_bank_asks_for_indices() -> None:
    with pytest.raises(UserError, match=re.escape("Samples(views, indices=positions)")):
        PseudoLabelBank(4, 3).update(hard_pseudo_labels(torch.rand(2, 3), None), 0)


@pytest.mark.parametrize(
    ("algorithm", "batch", "message"),
    [
        (FixMatch(), Batch(Samples(views(("weak",), 2))), "FixMatch needs labels, got None"),
        (
            FixMatch(),
            Batch(Samples(views(("weak",), 2), target=torch.zeros(2, dtype=torch.int64))),
            "FixMatch reads the views weak, strong of the unlabeled images, got none",
        ),
        (
            Supervised(view="strong"),
            Batch(Samples(views(("weak",), 2), target=torch.zeros(2, dtype=torch.int64))),
            "Supervised reads the views strong of the labeled images, got weak: Samples({'strong': images",
        ),
    ],
)
def test_a_batch_that_lacks_something_is_refused(algorithm: Algorithm, batch: Batch, message: str) -> None:
    net = build_model("small-cnn", 3, channels=1)
    with pytest.raises(UserError, match=re.escape(message)):
        algorithm(Nets(net, net), batch, Step(0, 1))


@pytest.mark.parametrize("name", sorted(ALGORITHMS.keys() - {"co-tuning", "delta", "noisy-student", "v-pet"}))
def test_what_is_added_has_the_precision_of_the_network(name: str) -> None:
    algorithm = ALGORITHMS[name]()
    net = build_model("small-cnn", 3, channels=1).double()
    student = algorithm.extend(net, Task(3, UNLABELED, (1, 8, 8), 6))
    weights = [*student.parameters(), *algorithm.parameters()]
    assert {weight.dtype for weight in weights} == {torch.float64}
