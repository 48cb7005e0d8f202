"""What the semi-supervised algorithms share: views, targets, forward passes, the pool of MixMatch, the worst
direction of VAT."""

import numpy as np
import pytest
import torch
from torch import nn

from ssl_mix.algorithms.vat import VAT, divergence, unit
from ssl_mix.augment import Augmentation
from ssl_mix.banks import PseudoLabelBank, last_positions
from ssl_mix.errors import UserError
from ssl_mix.mixing.pool import classify_in_parts, interleaved, mix_pool
from ssl_mix.models import SmallCNN
from ssl_mix.passes import apart, batch_statistics, together
from ssl_mix.targets import align, hard_pseudo_labels, ramp_up, sharpen
from ssl_mix.types import PseudoLabels, Step


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_numbered_views_are_drawn_by_themselves():
    images = (noise(4, 3, 32, 32).abs() * 60).clamp(max=255).to(torch.uint8)
    augmentation = Augmentation(mean=(0.5,) * 3, std=(0.2,) * 3)
    names = ("plain", "weak", "weak2", "strong", "strong2", "plain2")
    views = augmentation.views(images, names, torch.Generator().manual_seed(1))
    assert torch.equal(views["plain"], views["plain2"])
    for name in ("weak", "strong"):
        assert not torch.equal(views[name], views[name + "2"])
    alone = augmentation.views(images, ("weak", "strong"), torch.Generator().manual_seed(1))
    assert torch.equal(alone["weak"], views["weak"])
    with pytest.raises(UserError, match="weka2.*'weak'"):
        augmentation.views(images, ("weka2",), torch.Generator())


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.0])
def test_sharpening(temperature):
    p = torch.softmax(3 * noise(20, 5).double(), dim=1)
    powers = p.numpy() ** (1 / temperature)
    np.testing.assert_allclose(sharpen(p, temperature), powers / powers.sum(1, keepdims=True), rtol=1e-12)


def test_sharpening_a_certain_guess_leaves_it():
    p = torch.tensor([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0]])
    assert torch.equal(sharpen(p, 0.5), p)


def test_alignment_sums_to_one_and_is_the_ratio():
    p, mean = torch.softmax(noise(9, 4).double(), 1), torch.tensor([0.1, 0.2, 0.3, 0.4]).double()
    wanted = torch.tensor([0.4, 0.3, 0.2, 0.1]).double()
    found = align(p, mean, wanted).numpy()
    expected = p.numpy() * wanted.numpy() / mean.numpy()
    np.testing.assert_allclose(found, expected / expected.sum(1, keepdims=True), rtol=1e-12)
    np.testing.assert_allclose(found.sum(1), 1, rtol=1e-12)


def test_each_picture_may_have_its_own_threshold():
    p = torch.tensor([[0.6, 0.4], [0.2, 0.8], [0.3, 0.7]])
    guesses = hard_pseudo_labels(p, torch.arange(3), torch.tensor([0.5, 0.8, 0.9]))
    assert guesses.labels.tolist() == [0, 1, 1]
    assert guesses.mask.tolist() == [1, 1, 0]


def test_ramp():
    steps = [Step(number, 100, torch.Generator()) for number in (0, 20, 40, 90)]
    assert [ramp_up(step, 0.4) for step in steps] == [0, 0.5, 1, 1]
    assert [ramp_up(step, 0.0) for step in steps] == [1] * 4


def test_last_positions_against_a_loop():
    draw = np.random.default_rng(0)
    slots, counted = draw.integers(8, size=30), draw.random(30) < 0.4
    expected = [
        max((k for k in range(30) if slots[k] == slots[i] and counted[k]), default=-1) for i in range(30)
    ]
    assert last_positions(torch.tensor(slots), 8, torch.tensor(counted)).tolist() == expected


def test_the_bank_tells_changes_and_agreement():
    bank = PseudoLabelBank(5, 3)

    def guess(indices, labels):
        count = len(indices)
        return PseudoLabels(torch.tensor(indices), torch.tensor(labels), torch.ones(count), torch.ones(count))

    assert bank.update(guess([0, 1, 2], [0, 1, 2]), 0).item() == 0
    assert bank.update(guess([0, 1, 2, 3], [0, 2, 1, 0]), 1).item() == 0.5
    assert bank.agreement(torch.tensor([0, 2, 0, 0]), torch.tensor([0, 1, 2, 4])).item() == pytest.approx(
        2 / 3
    )


def test_a_guess_that_weighs_less_than_half_has_not_passed():
    bank = PseudoLabelBank(3, 2)
    weights = torch.tensor([0.2, 0.5, 0.9])
    bank.update(PseudoLabels(torch.arange(3), torch.tensor([0, 1, 1]), torch.ones(3), weights), 0)
    assert bank.passed.tolist() == [False, True, True]


def test_one_pass_for_all_parts_equals_one_batch():
    net = SmallCNN(3, channels=1).train()
    first, second = noise(4, 1, 8, 8), noise(7, 1, 8, 8, seed=1)
    whole = net(torch.cat((first, second)))
    torch.testing.assert_close(torch.cat(together(net, first, second)), whole)


def test_a_teacher_normalizes_by_the_batch_and_remembers_nothing():
    student, teacher = SmallCNN(3, channels=1).train(), SmallCNN(3, channels=1).eval()
    teacher.load_state_dict(student.state_dict())
    dropout = nn.Sequential(teacher, nn.Dropout(0.5)).eval()
    images, before = noise(6, 1, 8, 8), {k: v.clone() for k, v in teacher.state_dict().items()}
    with batch_statistics(dropout):
        found = dropout(images)
    torch.testing.assert_close(found, apart(student, images))
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())
    assert not any(module.training for module in dropout.modules())


@pytest.mark.parametrize(
    ("labeled", "total"), [(4, 12), (5, 15), (6, 48), (5, 18), (1, 3), (7, 9), (64, 192)]
)
def test_interleaving_swaps_and_undoes_itself(labeled, total):
    order = interleaved(labeled, total)
    assert torch.equal(order[order], torch.arange(total))
    parts = (order[:labeled] // labeled).bincount(minlength=total // labeled)
    if total % labeled == 0:  # the first part holds an equal share of every part
        assert parts.max() - parts.min() <= 1


@pytest.mark.parametrize("interleave", [True, False])
def test_only_the_first_part_moves_running_statistics(interleave):
    torch.manual_seed(0)
    nets = [SmallCNN(3, channels=1).train() for _ in range(2)]
    nets[1].load_state_dict(nets[0].state_dict())
    images = noise(14, 1, 8, 8)
    logits = classify_in_parts(nets[0], images, 5, interleave=interleave)
    order = interleaved(5, 14) if interleave else torch.arange(14)
    nets[1](images[order[:5]])
    for mine, other in zip(nets[0].buffers(), nets[1].buffers(), strict=True):
        torch.testing.assert_close(mine, other)
    second = order[5:10]
    torch.testing.assert_close(logits[second], apart(nets[0], images[second]))


@pytest.mark.parametrize("lam_per", ["sample", "batch"])
def test_pool_keeps_the_larger_share_and_mixes_targets_as_pictures(lam_per):
    count, labeled = 30, 10
    pictures = torch.eye(count).view(count, count, 1, 1)  # the channels of a mixed one tell who is in it
    targets = torch.softmax(noise(count, 4), dim=1)
    net = nn.Flatten()
    pool = mix_pool(
        net,
        pictures,
        targets,
        labeled,
        alpha=0.75,
        lam_per=lam_per,
        interleave=True,
        generator=torch.Generator().manual_seed(3),
    )
    shares = pool.logits
    torch.testing.assert_close(shares.sum(dim=1), torch.ones(count))
    torch.testing.assert_close(pool.targets, shares @ targets)
    own = shares.diagonal()
    assert (own >= 0.5 - 1e-6).all()
    assert (len(own[own < 1].unique()) == 1) == (lam_per == "batch")
    for row in range(count):
        others = [other for other in shares[row].nonzero()[:, 0].tolist() if other != row]
        partner = others[0] if others else row
        assert pool.known[row].tolist() == [row < labeled, partner < labeled]
        assert pool.pair.labels_a[row] == targets[row].argmax()
        assert pool.pair.labels_b[row] == targets[partner].argmax()


def test_worst_direction_is_that_of_the_curvature_in_single_precision():
    torch.manual_seed(0)
    net, images, start = SmallCNN(5, channels=1), noise(12, 1, 16, 16), noise(12, 1, 16, 16, seed=1)
    net.double()
    target = torch.softmax(apart(net, images.double()).detach(), dim=1)
    still = torch.zeros_like(images, dtype=torch.float64, requires_grad=True)
    cost = divergence(target, apart(net, images.double() + still))
    (slope,) = torch.autograd.grad(cost, still, create_graph=True)
    (exact,) = torch.autograd.grad((slope * unit(start.double())).sum(), still)  # Hessian times the start

    net.float()
    found = VAT()._worst_direction(net, images, target.float(), start)
    cosine = (found.double() * unit(exact)).flatten(1).sum(dim=1)
    assert cosine.min() > 0.97 and cosine.mean() > 0.99
    published = VAT(probe=1e-6)._worst_direction(net, images, target.float(), start)
    assert (published.double() * unit(exact)).flatten(1).sum(dim=1).mean() < 0.5
    assert all(parameter.grad is None for parameter in net.parameters())
