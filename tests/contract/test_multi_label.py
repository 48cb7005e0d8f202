"""Labels that do not exclude each other, from every mixer to the loss; and where they are refused."""

from typing import Any

import pytest
import torch
from mixer_scene import MIX, SHAPE, Net, build, generator, pictures
from torch import Tensor, nn

from ssl_mix.errors import UserError
from ssl_mix.losses import AsymmetricMixupLoss, DecoupledMixupBCELoss, DecoupledMixupLoss, LUMixLoss
from ssl_mix.mixers import MixedBatch, MixingSchedule, RandomMixer, Unmixed, build_mixer
from ssl_mix.mixing.criterion import MixingLoss
from ssl_mix.mixing.terms import MixingTerms
from ssl_mix.types import JointTarget, MixedTarget, Step

COUNT = SHAPE[0]


def multi_hot(classes: int = 65, kind: str = "hot") -> Tensor:
    """Rows of no, one, several and all classes; or soft ones."""
    labels = (torch.rand(COUNT, classes, generator=generator(5)) < 0.3).double()
    labels[0], labels[1], labels[2] = 0, 1, torch.eye(classes)[3]
    return labels if kind == "hot" else torch.rand(COUNT, classes, generator=generator(6)).double()


def expected_loss(logits: Tensor, labels: Tensor, batch: MixedBatch) -> Tensor:
    """By a loop in float64: the mean of ``nn.BCEWithLogitsLoss`` on each mixed row."""
    if isinstance(batch.target, JointTarget):
        sources, shares = batch.partner, batch.target.shares.double()
    else:
        sources = torch.stack((torch.arange(COUNT), batch.partner), 1)
        shares = torch.stack((batch.target.lam, 1 - batch.target.lam), 1).double()
    rows = []
    for row, shown, weights in zip(logits, sources.tolist(), shares, strict=True):
        mixed = sum(weight * labels[place] for weight, place in zip(weights, shown, strict=True))
        rows.append(nn.BCEWithLogitsLoss()(row, mixed))
    return torch.stack(rows).mean()


@MIX
@pytest.mark.parametrize("kind", ["hot", "soft"])
def test_every_mixer_and_bce_end_to_end(name: str, kind: str, nets: dict[int, Net]) -> None:
    mixer, labels = build(name, nets), multi_hot(kind=kind)
    if isinstance(mixer, nn.Module):
        mixer.eval()
    images, before = pictures(), labels.clone()
    batch = mixer.mix_batch(images, labels, net=nets[3], generator=generator())
    logits = torch.randn(COUNT, 65, generator=generator(7), dtype=torch.float64)
    expected = expected_loss(logits, labels, batch)
    criterion = DecoupledMixupBCELoss(t=1.0, xi=1.0)
    torch.testing.assert_close(criterion(logits, batch.target), expected, rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(criterion(logits, batch.target.dense(65)), expected, rtol=1e-6, atol=1e-7)
    assert torch.equal(labels, before)


def test_hidden_layers_and_unmixed_images(nets: dict[int, Net]) -> None:
    labels = multi_hot()
    with build_mixer("manifoldmix").applied(nets[3], pictures(), labels, generator=generator()) as mixed:
        nets[3](mixed.images)
    assert torch.equal(mixed.target.labels_b, labels[mixed.partner])
    for mixer in (Unmixed(), MixingSchedule(Unmixed(), stop=1.0)(Step(0, 1)), RandomMixer([Unmixed()])):
        assert torch.equal(mixer(pictures(), labels)[1].dense(65), labels)


@pytest.mark.parametrize(("t", "xi"), [(1.0, 0.8), (0.5, 1.0)])
def test_every_class_is_rescaled_by_itself(t: float, xi: float) -> None:
    """In both images it is wanted wholly, in one of them by r of that image's share."""
    labels_a, labels_b = torch.tensor([[1.0, 1, 0, 0]]), torch.tensor([[1.0, 0, 1, 0]])
    target, logits = MixedTarget(labels_a, labels_b, torch.tensor([0.7])), torch.randn(1, 4)
    wanted = torch.tensor([[1, min(1, (0.7 / xi) ** t), min(1, (0.3 / xi) ** t), 0]])
    expected = nn.BCEWithLogitsLoss()(logits, wanted)
    torch.testing.assert_close(DecoupledMixupBCELoss(t, xi)(logits, target), expected)


def test_no_class_is_dropped() -> None:
    """Three classes in an image, of which two used to remain, with a half each."""
    logits, target = torch.zeros(1, 4), torch.tensor([[1.0, 1.0, 1.0, 0.0]])
    logits.requires_grad_()
    DecoupledMixupBCELoss(sum_classes=True)(logits, target).backward()
    assert logits.grad.tolist() == [[-0.5, -0.5, -0.5, 0.5]]


SOFTMAX: list[nn.Module] = [DecoupledMixupLoss(), LUMixLoss(), LUMixLoss(kind="bce"), AsymmetricMixupLoss()]


@pytest.mark.parametrize("criterion", SOFTMAX, ids=lambda c: type(c).__name__)
def test_what_needs_one_class_per_image_refuses_them(criterion: nn.Module) -> None:
    labels, logits = multi_hot(5).float(), torch.zeros(COUNT, 5)
    for target in (MixedTarget(labels, labels.flip(0), torch.full((COUNT,), 0.3)), labels):
        with pytest.raises(UserError, match=r"BCELoss|MixedTarget"):
            criterion(logits, target)


@pytest.mark.parametrize("name", ["automix", "samix"])
def test_a_mixer_that_learns_by_single_labels_refuses_them(name: str, nets: dict[int, Net]) -> None:
    with pytest.raises(UserError, match="labels int64"):
        build(name, nets).mix_batch(pictures(), multi_hot(), net=nets[3], generator=generator())


def test_the_loss_of_supervised_training_refuses_them_for_cross_entropy() -> None:
    labels = multi_hot(5).float()
    target = MixedTarget(labels, labels.flip(0), torch.full((COUNT,), 0.3))
    with pytest.raises(UserError, match="DecoupledMixupBCELoss"):
        MixingLoss(MixingTerms(mix="dm"))(torch.zeros(COUNT, 5), target, generator())
    assert MixingLoss(MixingTerms(mix="mixup"), "bce")(torch.zeros(COUNT, 5), target, generator()).isfinite()


@pytest.mark.parametrize("wrong", [torch.full((COUNT, 3), 1.5), torch.full((COUNT, 3), float("nan"))])
def test_values_beyond_the_unit_interval_are_refused(wrong: Any) -> None:
    with pytest.raises(UserError, match=r"\[0, 1\]"):
        build_mixer("mixup")(pictures(), wrong)
    with pytest.raises(UserError, match=r"\[0, 1\]"):
        DecoupledMixupBCELoss()(torch.zeros(COUNT, 3), wrong)
