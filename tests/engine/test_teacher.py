"""The teacher against the same recursion in float64 NumPy."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from ssl_mix.engine.teacher import Teacher
from ssl_mix.errors import UserError


def network(dtype: torch.dtype = torch.float64) -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)).to(dtype)


def arrays(net: nn.Sequential) -> dict[str, NDArray[Any]]:
    return {name: value.detach().double().numpy().copy() for name, value in net.state_dict().items()}


def shake(net: nn.Sequential, draw: np.random.Generator) -> None:
    """New values everywhere in the student, as a training step would leave them."""
    with torch.no_grad():
        for value in net.state_dict().values():
            noise = torch.from_numpy(np.asarray(draw.standard_normal(tuple(value.shape))))
            value.copy_(value + 1 if value.dtype == torch.int64 else noise.to(value.dtype))


def averages(name: str, buffers: str) -> bool:
    """Whether an entry of the state is averaged rather than copied."""
    return "num_batches" not in name and (buffers == "average" or "running" not in name)


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.95, 0.999])
@pytest.mark.parametrize("warmup", [True, False])
@pytest.mark.parametrize("buffers", ["copy", "average"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 2e-6)])
def test_recursion(decay: float, warmup: bool, buffers: str, dtype: torch.dtype, tolerance: float) -> None:
    draw = np.random.default_rng(0)
    student = network(dtype)
    teacher = Teacher(student, decay=decay, warmup=warmup, buffers=buffers)
    expected = arrays(student)
    for t in range(60):
        shake(student, draw)
        teacher.update(t)
        d = min(decay, (1 + t) / (10 + t)) if warmup else decay
        for name, value in arrays(student).items():
            expected[name] = d * expected[name] + (1 - d) * value if averages(name, buffers) else value
        actual = arrays(teacher.net)
        assert all(np.abs(actual[name] - expected[name]).max() <= tolerance for name in expected)


@pytest.mark.parametrize("share", [0.25, 0.5])
@pytest.mark.parametrize("buffers", ["copy", "average"])
def test_a_share_stays_where_it_began(share: float, buffers: str) -> None:
    """Weights of averages add up to one, so that it is the share of the start beside the plain average."""
    draw, student = np.random.default_rng(0), network()
    start = arrays(student)
    plain = Teacher(student, decay=0.9, buffers=buffers)
    pulled = Teacher(student, decay=0.9, buffers=buffers, start_share=share)
    for t in range(20):
        shake(student, draw)
        plain.update(t)
        pulled.update(t)
    for name, value in arrays(pulled.net).items():
        average = arrays(plain.net)[name]
        expected = (1 - share) * average + share * start[name] if averages(name, buffers) else average
        assert np.abs(value - expected).max() <= 1e-12, name
    assert all((value == start[name]).all() for name, value in arrays(pulled.start).items())


@pytest.mark.parametrize(
    ("step", "expected"), [(0, 0.1), (1, 2 / 11), (8, 0.5), (990, 0.991), (10**6, 0.999)]
)
def test_decay_warms_up(step: int, expected: float) -> None:
    assert Teacher(network(), decay=0.999).decay_at(step) == pytest.approx(expected, rel=1e-15)
    assert Teacher(network(), decay=0.999, warmup=False).decay_at(step) == 0.999


def test_defaults() -> None:
    teacher = Teacher(network())
    assert (teacher.decay_at(0), teacher.decay_at(10**6)) == (0.1, 0.999)


def test_it_starts_as_a_copy_and_leaves_the_student_alone() -> None:
    student = network()
    before = arrays(student)
    teacher = Teacher(student)
    shake(teacher.net, np.random.default_rng(0))
    teacher.update(0)
    assert all((arrays(student)[name] == value).all() for name, value in before.items())
    assert all(parameter.requires_grad for parameter in student.parameters())


def test_it_gets_no_gradient_and_records_none() -> None:
    student = network()
    teacher = Teacher(student)
    student(torch.randn(5, 3, dtype=torch.float64)).sum().backward()
    teacher.update(0)
    output = teacher.net(torch.randn(5, 3, dtype=torch.float64))
    assert not output.requires_grad
    assert all(p.grad is None and not p.requires_grad for p in teacher.net.parameters())


@pytest.mark.parametrize("buffers", ["copy", "average"])
def test_update_works_in_place(buffers: str) -> None:
    teacher = Teacher(student := network(), buffers=buffers)
    addresses = {name: value.data_ptr() for name, value in teacher.net.state_dict().items()}
    shake(student, np.random.default_rng(0))
    teacher.update(0)
    assert {name: value.data_ptr() for name, value in teacher.net.state_dict().items()} == addresses
    owned = {value.data_ptr() for value in student.state_dict().values()}
    assert not owned & set(addresses.values())


def test_tied_weights_are_averaged_once() -> None:
    student: Any = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    student[1].weight = student[0].weight
    teacher = Teacher(student, decay=0.5, warmup=False)
    start = student[0].weight.detach().clone()
    with torch.no_grad():
        student[0].weight += 4
    teacher.update(0)
    torch.testing.assert_close(teacher.net[0].weight.detach(), start + 2)
    assert teacher.net[1].weight is teacher.net[0].weight


def test_only_the_network_and_the_step_are_state() -> None:
    """A teacher built anew from the saved network goes on as the old one would have."""
    draw = np.random.default_rng(0)
    student = network()
    first = Teacher(student, decay=0.9)
    for t in range(5):
        shake(student, draw)
        first.update(t)
    second = Teacher(student, decay=0.9)
    second.net.load_state_dict(first.net.state_dict())
    shake(student, draw)
    first.update(5)
    second.update(5)
    assert all((arrays(second.net)[name] == value).all() for name, value in arrays(first.net).items())


@pytest.mark.parametrize("decay", [-0.1, 1.1, float("nan")])
def test_decay_out_of_range(decay: float) -> None:
    with pytest.raises(UserError, match="decay"):
        Teacher(network(), decay=decay)


def test_unknown_treatment_of_buffers() -> None:
    with pytest.raises(UserError, match="buffers"):
        Teacher(network(), buffers="drop")


@pytest.mark.parametrize("buffers", ["copy", "average"])
def test_it_follows_a_student_that_was_moved(buffers: str) -> None:
    """Another dtype stands for another device: both replace the tensors that the teacher was made with."""
    student = network(torch.float32)
    teacher = Teacher(student, decay=0.5, warmup=False, buffers=buffers)
    student.double()
    teacher.double()
    start = arrays(student)
    shake(student, np.random.default_rng(0))
    teacher.update(0)
    new, actual = arrays(student), arrays(teacher.net)
    for name, value in start.items():
        expected = (value + new[name]) / 2 if averages(name, buffers) else new[name]
        assert np.abs(actual[name] - expected).max() <= 1e-12, name


def test_it_stays_in_evaluation_mode_within_another_module() -> None:
    holder = nn.ModuleList([student := network(), teacher := Teacher(student)]).train()
    assert holder.training and student.training
    assert not any(part.training for part in teacher.modules())
    images = torch.randn(5, 3, dtype=torch.float64)
    assert (teacher(images) == teacher.net(images)).all()
