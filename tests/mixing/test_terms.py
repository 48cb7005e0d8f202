"""The mixing terms against float64 NumPy.

Images are one-hot in their channels, so that a mixed image tells by its channel means whom it shows and how
much.
"""

import dataclasses
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor, nn

from ssl_mix.errors import UserError
from ssl_mix.mixing.terms import MixingTerms
from ssl_mix.randomness import sample_beta
from ssl_mix.types import PseudoLabels, Step

CLASSES = 6
SIZES = [(4, 9), (5, 5), (1, 1), (3, 1), (5, 2)]


class Recorder(nn.Module):
    """A linear classifier of channel means that keeps what it was shown."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        weight = np.random.default_rng(1).standard_normal((channels, CLASSES))
        self.weight = nn.Parameter(torch.from_numpy(3 * weight))
        self.shown: list[Any] = []

    def forward(self, images: Tensor) -> Tensor:
        self.shown.append(images.detach().mean(dim=(2, 3)).numpy())
        return images.mean(dim=(2, 3)) @ self.weight


class Scene:
    """A labeled and an unlabeled batch, the classes of all images and the masks of the guesses."""

    def __init__(self, labeled: int = 4, unlabeled: int = 9, seed: int = 0) -> None:
        draw = np.random.default_rng(seed)
        self.labeled, self.total = labeled, labeled + unlabeled
        self.classes = draw.integers(CLASSES, size=self.total)
        self.masks = draw.choice([0.0, 1.0], size=self.total, p=[0.3, 0.7])
        pictures = torch.eye(self.total, dtype=torch.float64)[:, :, None, None].repeat(1, 1, 8, 12)
        self.images, self.unlabeled = pictures.split([labeled, unlabeled])
        guessed = torch.from_numpy(self.classes[labeled:])
        mask = torch.from_numpy(self.masks[labeled:]).float()
        self.labels = torch.from_numpy(self.classes[:labeled])
        self.pseudo = PseudoLabels(torch.arange(unlabeled), guessed, torch.rand(unlabeled), mask)
        self.net: Any = Recorder(self.total)

    def run(self, number: int = 60, total: int = 100, seed: int = 0, **options: Any) -> tuple[Any, ...]:
        """The loss and its terms in one step of a run."""
        step = Step(number, total, torch.Generator().manual_seed(seed))
        mix = MixingTerms(**options)
        views = None if self.unlabeled is None else {"weak": self.unlabeled, "strong": 1 - self.unlabeled}
        return mix(self.net, self.images, self.labels, step, unlabeled=views, pseudo=self.pseudo)

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """(labeled-only?, logits, first image, second image, share of the first) of each mixed image."""
        assert len(self.net.shown) == 1
        for means in self.net.shown[0]:
            visible = np.flatnonzero(means)
            first, second = visible[0], visible[-1]
            assert len(visible) <= 2
            assert means.sum() == pytest.approx(1, abs=1e-6)
            yield second < self.labeled, means @ self.weights, first, second, means[first]

    @property
    def weights(self) -> NDArray[Any]:
        return self.net.weight.detach().numpy()


def log_softmax(scores: NDArray[Any]) -> NDArray[Any]:
    shifted = scores - scores.max()
    return shifted - np.log(np.exp(shifted).sum())


def minus_log_phi(scores: NDArray[Any], own: Any, competitor: Any) -> Any:
    if own == competitor:
        return 0.0
    return -log_softmax(np.delete(scores, competitor))[own - (competitor < own)]


def expected_terms(scene: Scene, eta: float) -> tuple[Any, Any]:
    """Mean DM(CE) of the labeled pairs and mean AS of the rest, by the formulas."""
    pairs: list[Any] = []
    asymmetric: list[Any] = []
    for labeled_only, scores, first, second, lam in scene.rows():
        a, b = scene.classes[first], scene.classes[second]
        loss = -lam * log_softmax(scores)[a] - (1 - lam) * log_softmax(scores)[b] if first != second else (
            -log_softmax(scores)[a])  # fmt: skip
        half_a, half_b = minus_log_phi(scores, a, b), minus_log_phi(scores, b, a)
        if labeled_only:
            pairs.append(loss + eta * (half_a + half_b))
        else:
            asymmetric.append(scene.masks[second] * (loss + eta * half_a))
    return np.mean(pairs or 0.0), np.mean(asymmetric or 0.0)


def ramp(number: int, total: int = 100) -> np.float64:
    return (1 - np.cos(np.pi * number / total)) / 2


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("mix", ["mixup", "dm", "as", "dm-as"])
@pytest.mark.parametrize("mixer", ["mixup", "cutmix"])
@pytest.mark.parametrize("options", [{}, {"eta": 1.0, "mix_weight": 0.3, "mix_ramp": "none"}])
def test_values(sizes: tuple[int, int], mix: str, mixer: str, options: dict[str, Any]) -> None:
    scene = Scene(*sizes)
    loss, terms = scene.run(mix=mix, mixer=mixer, **options)
    eta = 0.0 if mix == "mixup" else options.get("eta", 0.1)
    pairs, asymmetric = expected_terms(scene, eta)
    weight = options.get("mix_weight", 1.0)
    ramped = 1.0 if "mix_ramp" in options else ramp(60)
    assert loss.item() == pytest.approx(weight * (pairs + ramped * asymmetric), abs=1e-6)
    expected = {"loss/labeled_pairs": pairs, "loss/asymmetric": asymmetric}
    names = {"as": ["loss/asymmetric"], "dm-as": list(expected)}.get(mix, ["loss/labeled_pairs"])
    assert {name: term.item() for name, term in terms.items()} == pytest.approx(
        {name: expected[name] for name in names}, abs=1e-6
    )
    assert all(term.shape == () and not term.requires_grad for term in terms.values())


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("mixer", ["mixup", "cutmix"])
@pytest.mark.parametrize("seed", range(5))
def test_each_labeled_picture_is_the_smaller_share_of_one_pair(
    sizes: tuple[int, int], mixer: str, seed: int
) -> None:
    scene = Scene(*sizes)
    scene.run(mix="as", mixer=mixer, seed=seed)
    _, _, labeled, partners, shares = zip(*scene.rows(), strict=True)
    visible = [first for first in labeled if first < scene.labeled]
    assert len(labeled) == scene.labeled
    assert sorted(visible) == sorted(set(visible))
    assert all(share <= 0.5 for first, share in zip(labeled, shares, strict=True) if first < scene.labeled)
    assert min(partners) >= scene.labeled
    # Unlabeled images are used equally often, up to one.
    counts = np.bincount(np.array(partners) - scene.labeled, minlength=len(scene.unlabeled))
    assert np.ptp(counts) <= 1


def test_partners_and_shares_are_drawn_anew_from_the_generator_of_the_step() -> None:
    shown = []
    for seed in (0, 0, 1):
        scene = Scene()
        scene.run(mix="dm-as", seed=seed)
        shown.append(scene.net.shown[0])
    assert (shown[0] == shown[1]).all()
    assert ((shown[0] > 0) != (shown[2] > 0)).any()


def test_labeled_pairs_are_the_same_with_and_without_the_asymmetric_term() -> None:
    """Comparing "dm" with "dm-as" then shows what the term does, and not what other draws do."""
    terms = [Scene().run(mix=mix, eta=0.5)[1]["loss/labeled_pairs"] for mix in ("dm", "dm-as")]
    torch.testing.assert_close(*terms)


@pytest.mark.parametrize("mix", ["as", "dm-as"])
def test_the_asymmetric_term_ramps_from_zero_to_its_weight(mix: str) -> None:
    losses = []
    for number in (0, 10, 50, 90, 100):
        loss, terms = Scene().run(mix=mix, number=number, mix_weight=2.0)
        pairs = terms.get("loss/labeled_pairs", 0.0)
        expected = 2.0 * (pairs + ramp(number) * terms["loss/asymmetric"])
        assert loss.item() == pytest.approx(expected.item())
        losses.append(loss.item())
    assert all(low < high for low, high in pairwise(losses))


def test_no_mixing_costs_no_forward_pass() -> None:
    scene = Scene()
    loss, terms = scene.run()
    assert (loss.item(), terms, scene.net.shown) == (0, {}, [])


def test_weight_zero_gives_zero() -> None:
    assert Scene().run(mix="dm-as", mix_weight=0.0)[0].item() == 0


@pytest.mark.parametrize("mix", ["dm", "as", "dm-as"])
def test_gradients_reach_the_network_and_no_input_changes(mix: str) -> None:
    scene = Scene()
    loss, _ = scene.run(mix=mix)
    loss.backward()
    fresh = Scene()
    assert scene.net.weight.grad.abs().sum() > 0
    assert torch.equal(scene.images, fresh.images) and torch.equal(scene.unlabeled, fresh.unlabeled)
    assert torch.equal(scene.labels, fresh.labels) and torch.equal(scene.pseudo.mask, fresh.pseudo.mask)


def test_a_masked_guess_takes_its_whole_picture_out() -> None:
    scene = Scene()
    scene.pseudo = scene.pseudo._replace(mask=torch.zeros(9))
    loss, _ = scene.run(mix="as")
    loss.backward()
    assert loss.item() == 0
    assert not scene.net.weight.grad.any()


@pytest.mark.parametrize("mix", ["dm", "as", "dm-as"])
@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_uses_the_mixed_batch_and_keeps_its_running_statistics(mix: str, training: bool) -> None:
    scene = Scene()
    norm = nn.BatchNorm1d(CLASSES).double()
    recorder: Any = scene.net
    seen: dict[str, Tensor] = {}
    norm.register_forward_hook(lambda _, inputs, output: seen.update(given=inputs[0], returned=output))
    scene.net = nn.Sequential(recorder, norm).train(training)
    scene.net.weight = recorder.weight
    before = {name: value.clone() for name, value in norm.state_dict().items()}
    scene.run(mix=mix)
    assert all(torch.equal(value, before[name]) for name, value in norm.state_dict().items())
    assert norm.training == training and norm.track_running_stats
    if training:
        torch.testing.assert_close(seen["returned"], F.batch_norm(seen["given"], None, None, training=True))
    assert len(recorder.shown) == 1


@pytest.mark.parametrize("alpha", [0.2, 1.0, 2.0])
def test_shares_are_folded_beta(alpha: float) -> None:
    shares = sample_beta(
        4000, alpha, torch.Generator().manual_seed(0), torch.device("cpu"), folded=True
    ).double()
    assert shares.max() <= 0.5
    assert (
        stats.kstest(shares.numpy(), lambda x: 2 * stats.beta(alpha, alpha).cdf(np.minimum(x, 0.5))).pvalue
        > 0.01
    )


@pytest.mark.parametrize("mix", ["as", "dm-as"])
@pytest.mark.parametrize("missing", ["pseudo", "unlabeled"])
def test_the_asymmetric_term_needs_pseudo_labels(mix: str, missing: str) -> None:
    scene = Scene()
    setattr(scene, missing, None)
    with pytest.raises(UserError):
        scene.run(mix=mix)


@pytest.mark.parametrize(
    "options",
    [
        {"mix": "cutmix"},
        {"mix_ramp": "linear"},
        {"mixer": "puzlemix"},
        {"mix_head": "new"},
        {"mix_variant": "code"},
        {"mix_alpha": 0.0},
        {"mix_alpha": -1.0},
        {"mix_weight": -1.0},
        {"eta": -0.1},
    ],
    ids=str,
)
def test_wrong_options(options: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=rf"\b{next(iter(options))}\b"):
        MixingTerms(**options)


def test_options_cannot_change_after_the_check() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        MixingTerms().eta = -1.0  # type: ignore[misc]


def test_defaults_are_off_and_the_papers() -> None:
    defaults = MixingTerms()
    assert (defaults.mix, defaults.mixer, defaults.eta, defaults.mix_weight) == ("none", "mixup", 0.1, 1.0)
    assert (defaults.mix_ramp, defaults.mix_head, defaults.mix_variant) == ("cosine", "shared", "paper")


def test_openmixup_is_what_its_code_does() -> None:
    terms = MixingTerms.openmixup(mix_weight=0.5)
    assert (terms.mix, terms.eta, terms.mix_weight, terms.mix_head) == ("dm-as", 0.05, 0.5, "own")
    assert terms.variant.labeled_share == "major" and terms.variant.both_halves
    assert not terms.variant.masked and terms.variant.moves_statistics and terms.variant.eta_power == 1


@pytest.mark.parametrize("mixer", ["puzzlemix", "automix", "manifoldmix"])
def test_a_mixer_that_asks_a_network_is_refused_where_terms_are_added(mixer: str) -> None:
    with pytest.raises(UserError, match="mixer=.*supervised"):
        MixingTerms(mixer=mixer).check_added()


@pytest.mark.parametrize("option", [{"mixer": "cutmix"}, {"mix_alpha": 0.5}, {"mix_head": "own"}])
def test_what_means_nothing_to_an_algorithm_that_mixes_by_itself_is_refused(option: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=next(iter(option))):
        MixingTerms(**option).check_own()
