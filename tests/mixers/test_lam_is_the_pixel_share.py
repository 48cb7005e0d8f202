"""The invariant of every mixer: an all-one picture with an all-zero partner has a mean equal to its lam."""

import numpy as np
import pytest
import torch
from scipy import stats

from ssl_mix.mixers import CutMix, Mixup

SHAPES = [(8, 3, 8, 8), (5, 1, 7, 13), (3, 2, 31, 4), (1, 3, 5, 9), (4, 3, 1, 1), (6, 1, 64, 48)]
DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16]


@pytest.fixture(params=[Mixup, CutMix])
def mixer(request):
    """Each mixer with its default alpha."""
    return request.param()


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def rounding(dtype):
    """Half a unit in the last place of numbers up to 1, in the dtype and in lam's float32."""
    return torch.finfo(dtype).eps / 4 + torch.finfo(torch.float32).eps / 4


def mean_pixel(images):
    return images.double().mean(dim=(1, 2, 3))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("given", [None, 0.0, 0.37, 1.0, "per sample"])
def test_two_batches(mixer, shape, dtype, given):
    lam = torch.rand(shape[0], generator=generator(1)) if given == "per sample" else given
    ones, zeros = torch.ones(shape, dtype=dtype), torch.zeros(shape, dtype=dtype)
    mixed, share = mixer.mix(ones, zeros, lam=lam, generator=generator())
    assert (mixed.dtype, mixed.shape) == (dtype, shape)
    assert (share.dtype, share.shape) == (torch.float32, shape[:1])
    error = (mean_pixel(mixed) - share.double()).abs().max()
    assert error <= (rounding(dtype) if isinstance(mixer, Mixup) else rounding(torch.float32))


@pytest.mark.parametrize(
    ("mixer", "dtype"), [*((m, d) for m in (Mixup(), CutMix()) for d in DTYPES), (CutMix(), torch.uint8)]
)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_batch_with_itself(mixer, shape, dtype):
    """Sample k is constant k + 1, so its mixed mean tells which partner and which share it got."""
    values = torch.arange(1, shape[0] + 1)
    images = values.to(dtype)[:, None, None, None].expand(shape)
    mixed, target = mixer(images, values + 10, generator=generator())
    own, partner, share = target.labels_a - 10, target.labels_b - 10, target.lam.double()
    assert torch.equal(own, values)
    assert torch.equal(partner.sort().values, values)
    expected = share * own + (1 - share) * partner
    tolerance = shape[0] * 2 * rounding(dtype if isinstance(mixer, Mixup) else torch.float32)
    assert (mean_pixel(mixed) - expected).abs().max() <= tolerance


def test_lam_is_the_one_that_was_given_to_mixup():
    lam = torch.rand(7, generator=generator())
    images = torch.zeros(7, 1, 2, 2, dtype=torch.bfloat16)
    for given, expected in (
        (lam, lam),
        (lam.double(), lam),
        (0.37, torch.full((7,), 0.37)),
        (1, torch.ones(7)),
    ):
        assert torch.equal(Mixup().mix(images, images, lam=given)[1], expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_lam_is_not_rounded_to_half_precision(mixer, dtype):
    images = torch.zeros(64, 1, 61, 67, dtype=dtype)
    _, lam = mixer.mix(images, images, generator=generator())
    assert (lam.to(dtype).float() != lam).float().mean() > 0.5


def test_every_sample_has_its_own_lam(mixer):
    images = torch.zeros(50, 1, 224, 224)
    _, lam = mixer.mix(images, images, generator=generator())
    assert len(lam.unique()) >= 45


@pytest.mark.parametrize("alpha", [0.2, 1.0, 2.0])
@pytest.mark.parametrize("call", ["mix", "batch"])
def test_mixup_draws_lam_from_the_beta_distribution(alpha, call):
    images = torch.zeros(4000, 1, 1, 1)
    if call == "mix":
        _, lam = Mixup(alpha).mix(images, images, generator=generator())
    else:
        lam = Mixup(alpha)(images, torch.zeros(4000, dtype=torch.int64), generator=generator())[1].lam
    assert stats.kstest(lam.double().numpy(), stats.beta(alpha, alpha).cdf).pvalue > 0.01


@pytest.mark.parametrize("alpha", [0.01, 100.0])
def test_extreme_alphas_give_lam_between_zero_and_one(alpha):
    """A ratio of two gamma variables that both underflow would be nan."""
    images = torch.zeros(20000, 1, 1, 1)
    _, lam = Mixup(alpha).mix(images, images, generator=generator())
    assert ((lam >= 0) & (lam <= 1)).all()
    deviation = np.sqrt(1 / (4 * (2 * alpha + 1)))
    assert lam.double().mean().item() == pytest.approx(0.5, abs=3 * deviation / np.sqrt(20000))
    assert lam.double().std().item() == pytest.approx(deviation, rel=0.02)


def simulated_cutmix_lam(alpha, size, samples):
    """The published procedure, one sample at a time: area share 1 - lam, centre uniform, clipped at the borders."""
    draw = np.random.default_rng(0)
    for _ in range(samples):
        half = size * np.sqrt(1 - draw.beta(alpha, alpha)) / 2
        sides = [min(size, c + half) - max(0, c - half) for c in draw.uniform(0, size, 2)]
        yield 1 - sides[0] * sides[1] / size**2


@pytest.mark.parametrize("alpha", [0.2, 1.0, 2.0])
def test_cutmix_draws_lam_as_published(alpha):
    images = torch.zeros(1, 1, 224, 224).expand(2000, -1, -1, -1)
    lam = torch.cat([CutMix(alpha).mix(part, part, generator=generator(k))[1]
                     for k, part in enumerate(images.split(250))])  # fmt: skip
    expected = list(simulated_cutmix_lam(alpha, 224, 8000))
    # Whole pixels shift the share by at most 2 / 224, so the two samples are compared at that resolution.
    for level in np.linspace(0.1, 0.9, 9):
        below, above = np.mean(np.array(expected) < level - 0.01), np.mean(np.array(expected) < level + 0.01)
        observed, noise = (lam.double().numpy() < level).mean(), 3 * np.sqrt(0.25 / 2000 + 0.25 / 8000)
        assert below - noise <= observed <= above + noise


@pytest.mark.parametrize("lam", [0.2, 0.5, 0.8])
def test_clipping_leaves_the_expected_share(lam):
    """A centre uniform on a side of length 1 leaves r - r^2 / 4 of a box side r = sqrt(1 - lam) on average."""
    images = torch.zeros(1, 1, 96, 96).expand(2000, -1, -1, -1)
    _, share = CutMix().mix(images, images, lam=lam, generator=generator())
    side = np.sqrt(1 - lam)
    expected = 1 - (side - side**2 / 4) ** 2
    assert share.double().mean().item() == pytest.approx(expected, abs=2 / 96)
    assert share.min() >= lam - 2 / 96
