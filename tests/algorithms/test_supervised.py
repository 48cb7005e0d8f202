"""Supervised training with any mixer, label policy, loss and regularizer, against the formulas put together
by hand."""

from typing import Any, get_args

import pytest
import torch
import torch.nn.functional as F
from algorithm_scene import blobs
from timm.loss import BinaryCrossEntropy
from timm.models.vision_transformer import VisionTransformer

from ssl_mix import (
    Batch,
    MixedTarget,
    MixingTerms,
    Nets,
    Samples,
    Step,
    StepOutput,
    Task,
    TrainConfig,
    Trainer,
    UserError,
)
from ssl_mix.algorithms import Supervised
from ssl_mix.datasets import choose_split
from ssl_mix.losses import lumix_cross_entropy, lumix_lam, lumix_regularizer
from ssl_mix.mixers import MIXERS, CutMix, MixerName, Mixup
from ssl_mix.mixing.criterion import Criterion, LabelPolicy, MixingLoss
from ssl_mix.models import SmallCNN, adapt, build_model

CLASSES = 4
X = torch.randn(6, 3, 16, 16, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 1, 2, 3, 0, 1])
CUTMIX = MixingTerms(mix="mixup", mixer="cutmix")
MANIFOLD = MixingTerms(mix="mixup", mixer="manifoldmix")
JOINT = MixingTerms(mix="mixup", mixer="comixup")
SHUFFLE = MixingTerms(mix="mixup", mixer="patchshuffle")


def network() -> SmallCNN:
    torch.manual_seed(1)
    return SmallCNN(CLASSES).train()


def stream() -> torch.Generator:
    return torch.Generator().manual_seed(5)


def run(algorithm: Supervised, net: torch.nn.Module | None = None, *, number: int = 0) -> StepOutput:
    net = algorithm.extend(net or network(), Task(CLASSES, 0, (3, 16, 16)))
    samples = Samples({algorithm.view: X}, torch.arange(6), LABELS)
    output: StepOutput = algorithm(Nets(net, net), Batch(samples, None), Step(number, 10, stream()))
    return output


def transformer() -> torch.nn.Module:
    """For the mixer that asks for one."""
    torch.manual_seed(0)
    return adapt(VisionTransformer(X.shape[2], 4, embed_dim=16, depth=2, num_heads=2, num_classes=CLASSES))


def test_every_mixer_can_be_named() -> None:
    assert set(get_args(MixerName)) == set(MIXERS)


@pytest.mark.parametrize("mixer", list(MIXERS))
@pytest.mark.parametrize("mix", ["mixup", "dm"])
@pytest.mark.parametrize("criterion", get_args(Criterion))
@pytest.mark.parametrize("policy", ["plain", "lumix"])
@pytest.mark.parametrize("regularizer", ["none", "sem"])
def test_every_combination_trains_or_is_refused(
    mixer: Any, mix: Any, criterion: Criterion, policy: LabelPolicy, regularizer: Any
) -> None:
    options: dict[str, Any] = {
        "mixing": MixingTerms(mix=mix, mixer=mixer),
        "criterion": criterion,
        "label_policy": policy,
        "regularizer": regularizer,
    }
    if mixer == "comixup" and (policy, regularizer) != ("plain", "none"):
        with pytest.raises(UserError, match=r"about pairs of images.*comixup"):
            Supervised(**options)
        return
    if mix == "dm" and criterion == "bce" and policy == "lumix":
        with pytest.raises(UserError, match="criterion=bce"):
            Supervised(**options)
        return
    net = transformer() if mixer == "tokenmixup" else network()
    output = run(Supervised(**options), net)
    output.loss.backward()
    gradients = [parameter.grad for parameter in net.parameters()]
    assert output.loss.isfinite()
    assert all(
        gradient is not None and gradient.isfinite().all() and gradient.any() for gradient in gradients
    )


def test_plain_training_is_cross_entropy() -> None:
    expected = F.cross_entropy(network()(X), LABELS, label_smoothing=0.1)
    torch.testing.assert_close(run(Supervised(label_smoothing=0.1)).loss, expected)


def test_binary_cross_entropy_of_plain_and_of_mixed_pictures() -> None:
    expected = F.binary_cross_entropy_with_logits(network()(X), F.one_hot(LABELS, CLASSES).float())
    torch.testing.assert_close(run(Supervised(criterion="bce")).loss, expected)
    mixed, target = CutMix()(X, LABELS, generator=stream())
    expected = F.binary_cross_entropy_with_logits(network()(mixed), target.dense(CLASSES))
    torch.testing.assert_close(run(Supervised(criterion="bce", mixing=CUTMIX)).loss, expected)


@pytest.mark.parametrize("threshold", [0.0, 0.2, 0.45])
def test_a_threshold_of_targets_is_timms(threshold: float) -> None:
    logits, lam = torch.randn(6, 5), torch.tensor([0.0, 0.1, 0.2, 0.5, 0.85, 1.0])
    a, b = torch.tensor([0, 1, 2, 3, 4, 0]), torch.tensor([1, 1, 3, 0, 2, 4])
    shares = lam[:, None] * F.one_hot(a, 5) + (1 - lam[:, None]) * F.one_hot(b, 5)
    loss = MixingLoss(MixingTerms(mix="mixup"), "bce", target_threshold=threshold)
    expected = BinaryCrossEntropy(smoothing=0.0, target_threshold=threshold)(logits, shares)
    torch.testing.assert_close(loss(logits, MixedTarget(a, b, lam), torch.Generator()), expected)


@pytest.mark.parametrize(("mixer", "power", "xi"), [("mixup", 0.5, 1.0), ("cutmix", 1.0, 0.8)])
def test_dm_bce_rescales_lam_as_the_paper_does_for_each_kind_of_mixer(
    mixer: Any, power: float, xi: float
) -> None:
    mixed, (a, b, lam) = {"mixup": Mixup, "cutmix": CutMix}[mixer]()(X, LABELS, generator=stream())
    weights = [(share / xi).pow(power).clamp(max=1) for share in (lam, 1 - lam)]
    dense = weights[0][:, None] * F.one_hot(a, CLASSES) + weights[1][:, None] * F.one_hot(b, CLASSES)
    dense = torch.where((a == b)[:, None], F.one_hot(a, CLASSES).float(), dense)
    expected = F.binary_cross_entropy_with_logits(network()(mixed), dense)
    torch.testing.assert_close(
        run(Supervised(mixing=MixingTerms(mix="dm", mixer=mixer), criterion="bce")).loss, expected
    )


@pytest.mark.parametrize("eta", [0.0, 0.7])
def test_lumix_goes_with_the_decoupled_term(eta: float) -> None:
    generator = stream()
    mixed, target = CutMix()(X, LABELS, generator=generator)
    logits = network()(mixed)
    if eta == 0:
        expected = lumix_cross_entropy(logits, *target, generator=generator)
    else:
        lam = lumix_lam(logits, *target, generator=generator)
        log_p = logits.log_softmax(1)
        rows = torch.arange(6)
        z_a, z_b = (log_p[rows, labels] for labels in target[:2])
        without = [
            torch.logsumexp(log_p.scatter(1, labels[:, None], -1e4), dim=1)
            for labels in (target[1], target[0])
        ]
        halves = (target.lam > 0) * (without[0] - z_a) + (target.lam < 1) * (without[1] - z_b)
        decoupled = torch.where(target[0] == target[1], 0.0, halves)
        mixed_loss = -(lam * z_a + (1 - lam) * z_b) + eta * decoupled
        expected = mixed_loss.mean() + lumix_regularizer(logits, *target[:2], lam)
    mixing = MixingTerms(mix="dm", mixer="cutmix", eta=eta) if eta else CUTMIX
    torch.testing.assert_close(run(Supervised(mixing=mixing, label_policy="lumix")).loss, expected)


def test_sem_pulls_mixed_features_to_the_mixed_features() -> None:
    net = network()
    clean = net.features(X)
    batch = Mixup().mix_batch(X, LABELS, generator=stream())
    lam = batch.target.lam[:, None]
    gap = net.features(batch.images) - lam * clean - (1 - lam) * clean[batch.partner]
    algorithm = Supervised(mixing="mixup", regularizer="sem", regularizer_weight=3.0)
    output = run(algorithm)
    torch.testing.assert_close(output.metrics["loss/sem"], gap.square().mean().detach())
    total = output.metrics["loss/labeled"] + 3 * output.metrics["loss/sem"]
    torch.testing.assert_close(output.loss.detach(), total)


def test_mixing_stops_for_the_last_steps() -> None:
    algorithm = Supervised(mixing=CUTMIX, stop_mixing=0.3, label_policy="lumix", regularizer="sem")
    plain = F.cross_entropy(network()(X), LABELS)
    losses = [run(algorithm, number=number).loss for number in range(10)]
    assert [torch.equal(loss, plain) for loss in losses] == [False] * 7 + [True] * 3


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"label_policy": "lumix"}, "mix=none"),
        ({"regularizer": "sem"}, "mix=none"),
        ({"stop_mixing": 0.1}, "mix=none"),
        ({"mix_prob": 0.5}, "mix=none"),
        ({"mixing": CUTMIX, "mix_schedule": "mhw"}, "Did you mean 'mwh'"),
        ({"mixing": MANIFOLD, "label_policy": "transmix"}, "hidden layers"),
        ({"mixing": "mixup", "label_policy": "transmix"}, "same share"),
        ({"mixing": SHUFFLE, "label_policy": "transmix"}, "shuffles"),
        ({"mixing": JOINT, "label_policy": "transmix"}, "label_policy=transmix.*about pairs"),
        ({"criterion": "bce", "label_smoothing": 0.1}, "label_smoothing"),
        ({"mixing": "mixup", "criterion": "bce", "target_threshold": 0.5}, "target_threshold must lie"),
        ({"mixing": "mixup", "target_threshold": 0.2}, "belongs to `criterion=bce`"),
        ({"mixing": "dm", "criterion": "bce", "target_threshold": 0.2}, "rescaling of its own"),
        ({"criterion": "bce", "target_threshold": 0.2}, "mixes none"),
        ({"mixing": "dm", "criterion": "bce", "label_policy": "lumix"}, "lumix"),
        ({"mixing": CUTMIX, "stop_mixing": 1.5}, "stop_mixing"),
        ({"view": "stong"}, "Did you mean 'strong'"),
        ({"mixing": "as"}, "pseudo-labels"),
        ({"mixing": MixingTerms(mix="mixup", mix_head="own")}, "mix_head.*fine-tuning"),
    ],
)
def test_what_does_not_go_together_is_refused_with_the_reason(options: Any, words: str) -> None:
    with pytest.raises(UserError, match=words):
        Supervised(**options)


def test_transmix_without_attention_is_refused_before_training() -> None:
    with pytest.raises(UserError, match="class token|attention"):
        run(Supervised(mixing=CUTMIX, label_policy="transmix"))


def test_hidden_layer_mixing_needs_a_network_with_named_layers() -> None:
    class Bare(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = torch.nn.Linear(3, CLASSES)

        def features(self, x: torch.Tensor) -> torch.Tensor:
            return x.mean(dim=(2, 3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.head(self.features(x))
            return logits

    with pytest.raises(UserError, match="layers"):
        run(Supervised(mixing=MANIFOLD), Bare())


def test_transmix_weighs_patches_by_attention() -> None:
    torch.manual_seed(0)
    net = build_model("timm:vit_tiny_patch16_224", CLASSES, image_size=64)
    images = torch.randn(6, 3, 64, 64)
    algorithm = Supervised(mixing=CUTMIX, label_policy="transmix")
    algorithm.extend(net, Task(CLASSES, 0, (3, 64, 64)))
    batch = Batch(Samples({"weak": images}, torch.arange(6), LABELS), None)
    output = algorithm(Nets(net, net), batch, Step(0, 10, stream()))
    mixed, target = CutMix()(images, LABELS, generator=stream())
    losses = [F.cross_entropy(net(mixed), labels, reduction="none") for labels in target[:2]]
    by_area = (target.lam * losses[0] + (1 - target.lam) * losses[1]).mean()
    assert not torch.equal(output.loss, by_area)
    assert abs(output.loss - by_area) < 0.2 * by_area  # half of lam is still the area


def test_the_plain_loss_is_what_one_class_gets_from_every_policy() -> None:
    logits, one = torch.randn(6, CLASSES), MixedTarget.unmixed(LABELS)
    expected = F.cross_entropy(logits, LABELS)
    for mix in ("mixup", "dm"):
        plain = MixingLoss(MixingTerms(mix=mix, eta=0.5))  # type: ignore[arg-type]
        torch.testing.assert_close(plain.plain(logits, LABELS), expected)
        torch.testing.assert_close(plain(logits, one, stream()), expected)


def test_lumix_leaves_a_picture_of_one_class_alone() -> None:
    """A box that covers nothing, or everything: no class is demanded that is not in the image."""
    logits = torch.zeros(2, 4, requires_grad=True)
    target = MixedTarget(torch.tensor([0, 0]), torch.tensor([1, 1]), torch.tensor([1.0, 0.0]))
    MixingLoss(MixingTerms(mix="dm", eta=1.0), "ce", "lumix")(logits, target, stream()).backward()
    assert logits.grad is not None
    assert logits.grad[0, 1] > 0 and logits.grad[1, 0] > 0  # pushed down like every absent class


def test_a_learned_mixer_starts_afresh_in_each_run() -> None:
    algorithm = Supervised(mixing=MixingTerms(mix="mixup", mixer="automix"))
    states = []
    for _ in range(2):
        torch.manual_seed(3)
        algorithm.extend(network(), Task(CLASSES, 0, (3, 16, 16)))
        states.append([parameter.clone() for parameter in algorithm.parameters()])
        with torch.no_grad():
            for parameter in algorithm.parameters():
                parameter.add_(1)
    assert states[0] and all(torch.equal(one, other) for one, other in zip(*states, strict=True))


@pytest.mark.parametrize("mix", ["none", "mixup", "dm"])
def test_a_prior_adjusts_the_logits_of_the_loss_alone(mix: Any) -> None:
    shares = (0.4, 0.3, 0.2, 0.1)
    plain, adjusted = (
        Supervised(logit_adjustment=tau, mixing=MixingTerms(mix=mix, eta=0.5)) for tau in (0.0, 0.7)
    )
    net, batch = network(), Batch(Samples({"weak": X}, torch.arange(6), LABELS), None)
    for algorithm in (plain, adjusted):
        algorithm.extend(net, Task(CLASSES, 0, (3, 16, 16), class_shares=shares))
    found = adjusted(Nets(net, net), batch, Step(0, 10, stream())).loss
    with torch.no_grad():
        net.head.bias.add_(0.7 * torch.tensor(shares).log())
    expected = plain(Nets(net, net), batch, Step(0, 10, stream())).loss
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, [0.4, 0.2, 0.2, 0.2]),
        ({"balanced": True}, [0.25] * 4),
        ({"class_weights": (1.0, 2.0, 1.0, 1.0)}, [1 / 3, 1 / 3, 1 / 6, 1 / 6]),
    ],
)
def test_the_prior_is_of_what_is_drawn(config: dict[str, Any], expected: list[float]) -> None:
    data = blobs(40)
    split = choose_split(data.train.labels, CLASSES, listed=[0, 4, 1, 2, 3], seed=0, classes=data.classes)
    algorithm = Supervised(logit_adjustment=1.0)
    Trainer(algorithm, SmallCNN(CLASSES, channels=1), data, split, TrainConfig(steps=1, **config))
    assert algorithm.get_buffer("class_shares").tolist() == pytest.approx(expected)


def test_a_prior_is_of_cross_entropy() -> None:
    with pytest.raises(UserError, match="`logit_adjustment` belongs to `criterion=ce`"):
        Supervised(logit_adjustment=1.0, criterion="bce")
