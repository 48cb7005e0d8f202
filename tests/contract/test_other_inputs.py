"""Nothing takes its inputs for images without need: signals (N, C, T) and token ids (N, L)."""

from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

import ssl_mix
from ssl_mix import Batch, MixingTerms, Nets, Samples, Step, StepOutput, Task, Teacher, UserError
from ssl_mix.algorithms import ALGORITHMS, TRANSFER
from ssl_mix.datasets import tensor_data
from ssl_mix.losses import DecoupledMixupLoss
from ssl_mix.mixers import CutMix, FMix, ManifoldMix, Mixup, Unmixed
from ssl_mix.models import adapt

CLASSES, LABELED, UNLABELED, WORDS = 3, 6, 12, 20


class Tokens(nn.Module):
    """The mean of embeddings."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.head = nn.Embedding(WORDS, 8), nn.Linear(8, CLASSES)

    def features(self, ids: Tensor) -> Tensor:
        return self.embedding(ids).mean(1)

    def forward(self, ids: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(ids))
        return logits


class Kind(NamedTuple):
    shape: tuple[int, ...]
    low: int | None  # of whole numbers

    def draw(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        if self.low is None:
            return torch.randn(count, *self.shape, generator=generator)
        return torch.randint(WORDS, (count, *self.shape), generator=generator)

    def net(self) -> nn.Module:
        if self.low is not None:
            return Tokens()
        layers = nn.Conv1d(2, 8, 3), nn.BatchNorm1d(8), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten()
        return adapt(nn.Sequential(*layers, nn.Linear(8, CLASSES)))


KINDS: dict[str, Any] = {"signals": Kind((2, 16), None), "tokens": Kind((10,), 0)}
ROTATING = {"remixmatch", "crmatch", "s4l"}
BLENDING = {"vat", "mixmatch"}  # move or blend their inputs


def loop(kind: Kind, name: str, keywords: dict[str, Any]) -> list[StepOutput]:
    """Two steps of a loop of one's own."""
    torch.manual_seed(0)
    algorithm = ALGORITHMS[name](**keywords)
    student = algorithm.extend(kind.net(), Task(CLASSES, UNLABELED, kind.shape, LABELED))  # type: ignore[arg-type]
    teacher, outputs = Teacher(student, decay=0.9), []
    optimizer = torch.optim.SGD([*student.parameters(), *algorithm.parameters()], lr=0.1)
    for number in range(2):
        labeled = {view: kind.draw(LABELED) for view in algorithm.labeled_views}
        unlabeled = {view: kind.draw(UNLABELED) for view in algorithm.unlabeled_views}
        halves = Samples(labeled, torch.arange(LABELED), torch.arange(LABELED) % CLASSES), unlabeled
        batch = Batch(halves[0], Samples(unlabeled, torch.arange(UNLABELED)) if unlabeled else None)
        output = algorithm(Nets(student, teacher.net), batch, Step(number, 2))
        optimizer.zero_grad()
        output.loss.backward()
        optimizer.step()
        algorithm.commit(output.carry)
        teacher.update(number)
        outputs.append(output)
    return outputs


@pytest.mark.parametrize("name", sorted(ALGORITHMS.keys() - TRANSFER.keys()))
@pytest.mark.parametrize("inputs", KINDS)
def test_algorithms_take_any_inputs_in_a_loop_of_ones_own(inputs: str, name: str) -> None:
    refused = {"rotates images": ROTATING, "": BLENDING if inputs == "tokens" else set()}
    for reason, names in refused.items():
        if name in names:
            with pytest.raises(UserError, match=reason or "float"):
                loop(KINDS[inputs], name, {})
            return
    assert all(output.loss.isfinite() for output in loop(KINDS[inputs], name, {}))


@pytest.mark.parametrize("mixer", ["mixup", "cutmix"])
@pytest.mark.parametrize("name", ["fixmatch", "flexmatch", "mean-teacher"])
def test_signals_are_mixed_with_every_term(name: str, mixer: str) -> None:
    keywords = {"mixing": MixingTerms(mix="dm-as", mixer=mixer)}  # type: ignore[arg-type]
    for output in loop(KINDS["signals"], name, keywords):
        assert output.metrics["loss/labeled_pairs"] > 0 and output.loss.isfinite()


def test_token_ids_are_mixed_as_embeddings_alone() -> None:
    with pytest.raises(UserError, match="images must be a float tensor, got torch.int64"):
        loop(KINDS["tokens"], "fixmatch", {"mixing": MixingTerms(mix="dm")})
    net, ids, labels = Tokens(), KINDS["tokens"].draw(6), torch.arange(6) % CLASSES
    mixer = ManifoldMix(layers=("embedding",))
    with mixer.applied(net, ids, labels, generator=torch.Generator().manual_seed(1)) as mixed:
        logits = net(mixed.images)
    lam = mixed.target.lam[:, None, None]
    blended = lam * net.embedding(ids) + (1 - lam) * net.embedding(ids[mixed.partner])
    torch.testing.assert_close(logits, net.head(blended.mean(1)))
    DecoupledMixupLoss(0.1)(logits, mixed.target).backward()  # type: ignore[no-untyped-call]
    assert net.embedding.weight.grad is not None
    with pytest.raises(UserError, match="ManifoldMix blends float images, got torch.int64"):
        ManifoldMix(layers=("input",))(ids, labels, net=net)


@pytest.mark.parametrize("inputs", KINDS)
def test_what_is_not_mixed_keeps_its_shape(inputs: str) -> None:
    given = KINDS[inputs].draw(4)
    mixed, target = Unmixed()(given, torch.arange(4))
    assert torch.equal(mixed, given) and target.lam.tolist() == [1.0] * 4


@pytest.mark.parametrize("shape", [(3,), (2, 9), (2, 3, 4, 5)])
def test_mixup_blends_tensors_of_any_shape(shape: tuple[int, ...]) -> None:
    a, b, lam = torch.rand(4, *shape), torch.rand(4, *shape), torch.tensor([0.0, 0.25, 0.5, 1.0])
    mixed, share = Mixup().mix(a, b, lam=lam)
    assert torch.equal(share, lam)
    for row in range(4):
        torch.testing.assert_close(mixed[row], lam[row] * a[row] + (1 - lam[row]) * b[row])


def test_cutmix_pastes_one_stretch_of_a_signal() -> None:
    a, b = torch.zeros(500, 2, 20), torch.ones(500, 2, 20)
    mixed, share = CutMix().mix(a, b, lam=0.75, generator=torch.Generator().manual_seed(0))
    assert torch.equal(mixed[:, 0], mixed[:, 1])
    torch.testing.assert_close(1 - mixed[:, 0].mean(1), share)
    edges = (mixed[:, 0].diff(dim=1) != 0).sum(1)
    assert edges.max() == 2 and share.min() == 0.75  # a quarter of the time, less where it is clipped
    starts = mixed[:, 0].argmax(1).bincount(minlength=20)
    assert (starts[:18] > 0).all() and (starts[18:] == 0).all()
    whole, _ = CutMix().mix(a, b, lam=torch.linspace(0, 1, 500))
    assert torch.equal(whole[-1], a[-1])


def test_mixers_of_images_say_so() -> None:
    with pytest.raises(UserError, match=r"must be \(N, C, H, W\) with .* got torch.float32 \(4, 2, 9\)"):
        FMix().mix(torch.rand(4, 2, 9), torch.rand(4, 2, 9))
    with pytest.raises(UserError, match=r"must be \(N, C, H, W\) or \(N, C, T\) with"):
        CutMix().mix(torch.rand(4, 2), torch.rand(4, 2))


def shifted(batch: Tensor, generator: torch.Generator) -> Tensor:
    """A strong view: noise on signals, words that are left out of texts."""
    if batch.is_floating_point():
        return batch + 0.3 * torch.randn(batch.shape, generator=generator)
    return batch.masked_fill(torch.rand(batch.shape, generator=generator) < 0.2, 0)


def labeled_by_mean(kind: Kind, count: int) -> tuple[Tensor, Tensor]:
    labels, draws = torch.arange(count) % CLASSES, torch.Generator().manual_seed(count)
    inputs = kind.draw(count, draws)
    if kind.low is None:
        return inputs + 2.0 * labels[:, None, None], labels
    return inputs // 4 + 6 * labels[:, None], labels


@pytest.mark.parametrize("name", ["fixmatch", "flexmatch", "mixmatch"])
@pytest.mark.parametrize("inputs", KINDS)
def test_fit_learns_from_any_inputs_resumes_and_predicts(inputs: str, name: str, tmp_path: Path) -> None:
    kind = KINDS[inputs]
    if (inputs, name) == ("tokens", "mixmatch"):
        pytest.skip("it blends its inputs")
    (x, y), (more, _), test = (labeled_by_mean(kind, count) for count in (12, 60, 30))
    data = tensor_data((x, y), more, test, strong=shifted)
    options: dict[str, Any] = {"batch_size": 6, "lr": 0.1, "log_every": 10, "checkpoint_every": 5}
    torch.manual_seed(0)
    net, records = kind.net(), list[dict[str, float]]()

    def fit(folder: str, **more: Any) -> Any:
        return ssl_mix.fit(name, data, net=net, steps=30, out=tmp_path / folder, **options, **more)

    whole = fit("whole", on_record=records.append)
    assert records[-1]["test_accuracy"] > 0.5
    assert whole.evaluate(test).accuracy == pytest.approx(records[-1]["test_accuracy"])
    assert whole.predict(test[0][:3])[0] in whole.classes
    with pytest.raises(KeyboardInterrupt):
        fit("cut", on_record=stopping)
    cut = fit("cut", resume=True)
    for one, other in zip(whole.net.parameters(), cut.net.parameters(), strict=True):
        assert torch.equal(one, other)
    with pytest.raises(UserError, match="as the run has learned from, got"):
        whole.predict(torch.rand(2, 3))


def stopping(record: dict[str, float]) -> None:
    if record["step"] == 10:
        raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"unlabeled": torch.rand(2, 2, 9)}, "all parts must have one shape and kind of number"),
        ({"labeled": (torch.rand(6), torch.arange(6))}, r"expected numbers \(N, ...\)"),
        ({"labeled": ([torch.rand(2, 16)] * 6, torch.arange(6))}, "in one tensor or array, got list"),
        ({"labeled": (torch.rand(6, 2, 16), torch.zeros(6))}, "expected labels that are whole numbers"),
        ({"labeled": (torch.rand(5, 2, 16), torch.arange(6) % 3)}, "must be equally many"),
    ],
)
def test_data_that_do_not_fit_are_refused(arguments: dict[str, Any], message: str) -> None:
    usual = {"labeled": (torch.rand(6, 2, 16), torch.arange(6) % 3)}
    with pytest.raises(UserError, match=message):
        tensor_data(**(usual | arguments))


@pytest.mark.parametrize(
    ("strong", "message"),
    [
        (None, "nothing makes the view 'strong': give tensor_data a function, strong="),
        (
            lambda batch, generator: batch[:, :1],
            "strong: expected a function that gives a batch like the one",
        ),
    ],
)
def test_views_that_do_not_fit_are_refused(strong: Any, message: str, tmp_path: Path) -> None:
    data = tensor_data(*[labeled_by_mean(KINDS["signals"], 12)], torch.rand(20, 2, 16), strong=strong)
    with pytest.raises(UserError, match=message):
        ssl_mix.fit("fixmatch", data, net=KINDS["signals"].net(), steps=1, batch_size=2, out=tmp_path / "a")


def test_fit_says_what_is_missing_or_too_much(tmp_path: Path) -> None:
    data = tensor_data(labeled_by_mean(KINDS["signals"], 12), torch.rand(20, 2, 16), strong=shifted)
    with pytest.raises(
        UserError, match=r"no network here is for inputs of shape \(2, 16\): give one of yours"
    ):
        ssl_mix.fit("fixmatch", data, steps=1, out=tmp_path / "a")
    with pytest.raises(UserError, match="`test` has no effect beside a DataSet"):
        ssl_mix.fit("fixmatch", data, test=(1, 2), net=KINDS["signals"].net(), out=tmp_path / "b")
    with pytest.raises(UserError, match=r"fails on inputs of shape \(2, 16\)"):
        ssl_mix.fit("fixmatch", data, net=Tokens(), steps=1, out=tmp_path / "c")
