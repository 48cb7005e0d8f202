"""A step in parts, its gradient clipped, and half precision with a loss scale."""

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from algorithm_scene import CLASSES, make, same_bits, timeless
from torch import Tensor, nn

from ssl_mix import Batch, Samples, StepOutput, TrainConfig, UserError
from ssl_mix.algorithms import ALGORITHMS, Supervised
from ssl_mix.engine.execution import half_precision
from ssl_mix.engine.update import parts_of
from ssl_mix.models import build_model

CPU = torch.device("cpu")
MEANS = {  # algorithms whose loss is a mean over the images, with what makes it one
    "supervised": {},
    "pseudo-label": {"threshold": 0.0},
    "pi-model": {},
    "mean-teacher": {},
    "fixmatch": {"threshold": 0.3},
    "uda": {},
    "fine-tuning": {},
    "l2-sp": {},
}


def without_norms() -> nn.Module:
    """A network in which no image sees another."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, stride=2), nn.GroupNorm(2, 6), nn.Tanh(), nn.Flatten(), nn.Linear(54, CLASSES)
    )


def trained(name: str, **config: Any) -> Any:
    options = {"batch_size": 12, "steps": 4, "lr": 0.1, "log_every": 2, "eval_every": 4} | config
    from ssl_mix.models import adapt

    trainer = make(ALGORITHMS[name](**MEANS.get(name, {})), net=adapt(without_norms()), **options)
    return trainer, list(trainer.fit())


@pytest.mark.parametrize("parts", [2, 3, 12])
@pytest.mark.parametrize("name", list(MEANS))
def test_parts_add_up_to_the_step_of_the_whole_batch(name: str, parts: int) -> None:
    whole, records = trained(name)
    split, others = trained(name, accumulate=parts)
    for key, value in whole.student.state_dict().items():
        torch.testing.assert_close(split.student.state_dict()[key], value, rtol=1e-4, atol=1e-5)
    for key, value in whole.teacher.net.state_dict().items():
        torch.testing.assert_close(split.teacher.net.state_dict()[key], value, rtol=1e-4, atol=1e-5)
    for record, other in zip(records, others, strict=True):
        for key in ("loss", "loss/labeled", "coverage"):
            assert other.get(key) == (None if key not in record else pytest.approx(record[key], rel=1e-4))


def test_the_step_of_four_parts_is_sgd_on_the_mean_by_hand() -> None:
    """Against plain autograd on the whole batch in float64."""
    trainer, _ = trained("supervised", steps=1)
    parts = make(Supervised(), net=without_norms(), batch_size=12, steps=1, lr=0.1, accumulate=4)
    before = {name: value.double().clone() for name, value in parts.student.named_parameters()}
    raw = next(parts.feed.batches(0))
    batch = parts.feed.augment(raw, 0)
    assert batch.labeled.target is not None
    net = without_norms().double()
    with torch.no_grad():
        for name, weight in net.named_parameters():
            weight.copy_(before[name])
    loss = F.cross_entropy(net(batch.labeled.views["weak"].double()), batch.labeled.target)
    gradients = torch.autograd.grad(loss, list(net.parameters()))
    parts.train_step(raw)
    for (name, weight), gradient in zip(parts.student.named_parameters(), gradients, strict=True):
        decay = 5e-4 if weight.ndim > 1 else 0.0
        moved = gradient + decay * before[name]
        expected = before[name] - 0.1 * (moved + 0.9 * moved)  # Nesterov's first step
        torch.testing.assert_close(weight.detach().double(), expected, rtol=1e-5, atol=1e-6)
    assert trainer.step == parts.step == 1


@pytest.mark.parametrize("name", list(ALGORITHMS))
def test_every_algorithm_learns_in_parts(name: str) -> None:
    trainer = make(ALGORITHMS[name](), batch_size=6, steps=2, accumulate=3, clip_grad=1.0, eval_every=2)
    before = [value.clone() for value in trainer.student.parameters()]
    [*_, last] = trainer.fit()
    assert math.isfinite(last["loss"]) and last["grad_norm"] > 0
    assert not all(torch.equal(*pair) for pair in zip(before, trainer.student.parameters(), strict=True))


def test_parts_keep_images_labels_and_positions_together() -> None:
    x, u = torch.arange(6.0).view(6, 1), torch.arange(12.0).view(12, 1)
    batch = Batch(
        Samples({"weak": x}, target=torch.arange(6)),
        Samples({"weak": u, "strong": u + 100}, indices=torch.arange(12)),
    )
    found = list(parts_of(batch, 3))
    assert [part.labeled.views["weak"].flatten().tolist() for part in found] == [[0, 1], [2, 3], [4, 5]]
    assert all(part.labeled.indices is None and part.unlabeled is not None for part in found)
    for part in found:
        assert part.labeled.target is not None and part.unlabeled is not None
        assert torch.equal(part.labeled.views["weak"].flatten(), part.labeled.target.float())
        assert part.unlabeled.indices is not None and part.unlabeled.target is None
        for view, shift in (("weak", 0), ("strong", 100)):
            assert torch.equal(part.unlabeled.views[view].flatten(), part.unlabeled.indices + float(shift))


def test_a_long_gradient_is_shortened_and_a_short_one_left() -> None:
    free, _ = trained("supervised", steps=1, momentum=0.0, nesterov=False, weight_decay=0.0)
    long, [record] = trained(
        "supervised", steps=1, momentum=0.0, nesterov=False, weight_decay=0.0, clip_grad=0.01
    )
    short, _ = trained("supervised", steps=1, momentum=0.0, nesterov=False, weight_decay=0.0, clip_grad=1e3)
    assert same_bits(short.student.state_dict(), free.student.state_dict())
    torch.manual_seed(0)
    start = [weight.detach() for weight in without_norms().parameters()]
    moved = [
        torch.cat([(w.detach() - s).flatten() for w, s in zip(t.student.parameters(), start, strict=True)])
        for t in (free, long)
    ]
    assert moved[1].norm().item() == pytest.approx(0.1 * 0.01, rel=1e-3)  # lr times the largest length
    assert record["grad_norm"] == pytest.approx(moved[0].norm().item() / 0.1, rel=1e-3)
    torch.testing.assert_close(moved[1] / moved[1].norm(), moved[0] / moved[0].norm(), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"accumulate": 5}, r"accumulate \(5\) must divide batch_size \(64\)"),
        ({"accumulate": 0}, "accumulate must be above 0"),
        ({"clip_grad": 0.0}, "clip_grad must be above 0"),
        ({"amp": "half"}, "amp must be one of auto, bf16, fp16, off"),
    ],
)
def test_what_cannot_be_is_refused(options: Any, words: str) -> None:
    with pytest.raises(UserError, match=words):
        TrainConfig(**options)


@pytest.mark.parametrize(
    ("amp", "device", "bf16", "expected"),
    [
        ("auto", "cpu", True, None),
        ("auto", "cuda", True, torch.bfloat16),
        ("auto", "cuda", False, torch.float16),
        ("bf16", "cuda", False, None),
        ("fp16", "cuda", True, torch.float16),
        ("fp16", "cpu", True, torch.float16),
        ("off", "cuda", True, None),
    ],
)
def test_which_half_precision(
    amp: Any, device: str, bf16: bool, expected: torch.dtype | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: bf16)
    assert half_precision(TrainConfig(amp=amp), torch.device(device)) is expected


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_float16_is_close_to_float32_and_resumes_to_the_bit(optimizer: str) -> None:
    """On a CPU, whose autocast knows float16 too."""
    rate = {"sgd": 0.01, "adamw": 0.001}[optimizer]
    options: dict[str, Any] = {"optimizer": optimizer, "lr": rate, "accumulate": 2, "clip_grad": 5.0}
    exact = make(Supervised(), **options)
    whole = make(Supervised(), amp="fp16", **options)
    expected = list(exact.fit())
    records = [timeless(record) for record in whole.fit()]
    for record, other in zip(records, expected, strict=True):
        assert record["loss"] == pytest.approx(other["loss"], rel=0.01)
        assert record["grad_norm"] == pytest.approx(other["grad_norm"], rel=0.02)
    assert all(weight.dtype == torch.float32 for weight in whole.student.parameters())
    assert records[-1]["loss_scale"] == 65536 and records[-1]["skipped_steps"] == 0
    first = make(Supervised(), amp="fp16", **options)
    begun = [timeless(next(first.fit()))]
    state = first.state_dict()
    assert state["scaler"]["scale"] == 65536 and state["scaler"]["_growth_tracker"] == first.step
    second = make(Supervised(), amp="fp16", **options)
    second.load_state_dict(state)
    assert begun + [timeless(record) for record in second.fit()] == records
    assert same_bits(second.student.state_dict(), whole.student.state_dict())


class Exploding(Supervised):
    """A loss whose gradients are infinite in one step."""

    infinite_in = 2

    def forward(self, *given: Any) -> StepOutput:
        output = super().forward(*given)
        factor = math.inf if given[2].number == self.infinite_in else 1.0
        return output._replace(loss=_Steep.apply(output.loss, factor))


class _Steep(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, loss: Tensor, factor: float) -> Tensor:
        context.factor = factor
        return loss.clone()

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0] * context.factor, None


@pytest.mark.parametrize("clip", [None, 1.0])
def test_a_step_that_overflows_is_left_out_and_counted(clip: float | None) -> None:
    trainer = make(Exploding(), amp="fp16", steps=4, log_every=1, clip_grad=clip, lr=1e-4)
    weights, scales, skipped = [], [], []
    for record in trainer.fit():
        weights.append([weight.detach().clone() for weight in trainer.student.parameters()])
        scales.append(record["loss_scale"])
        skipped.append(record["skipped_steps"])
        assert clip is None or math.isfinite(record["grad_norm"])
    assert skipped == [0, 0, 1, 0] and scales == [65536, 65536, 65536, 32768]
    assert same_bits(weights[1], weights[2]) and not same_bits(weights[2], weights[3])


def test_a_first_step_that_overflows_leaves_the_momentum_empty() -> None:
    """Memory without values, which this setting fills with NaN, must not become the momentum."""
    torch.use_deterministic_algorithms(True)
    try:
        algorithm = Exploding()
        algorithm.infinite_in = 0
        trainer = make(algorithm, amp="fp16", steps=2, log_every=1, lr=0.01, weight_decay=0.0)
        before = [weight.detach().clone() for weight in trainer.student.parameters()]
        first, second = trainer.fit()
    finally:
        torch.use_deterministic_algorithms(False)
    assert (first["skipped_steps"], second["skipped_steps"]) == (1, 0)
    for weight, start in zip(trainer.student.parameters(), before, strict=True):
        momentum = trainer.optimizer.state[weight]["momentum_buffer"]
        moved = start - second["lr"] * (1 + 0.9) * momentum
        torch.testing.assert_close(weight.detach(), moved, rtol=1e-5, atol=1e-7)


def test_weights_in_float16_are_refused() -> None:
    net = build_model("small-cnn", CLASSES, channels=1).half()
    with pytest.raises(UserError, match=r"in float16: call net.float\(\) first"):
        make(Supervised(), net=net, amp="fp16")
