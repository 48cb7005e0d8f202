"""Where randomness comes from: the passed generator, or torch's own; partners are a random permutation."""

import random

import numpy as np
import pytest
import torch
from scipy import stats

from ssl_mix.mixers import CutMix, Mixup


@pytest.fixture(params=[Mixup, CutMix])
def mixer(request):
    """Each mixer with its default alpha."""
    return request.param()


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def batch(samples=8, size=16, **options):
    images = torch.randn(samples, 3, size, size, generator=generator(9), **options)
    return images, torch.arange(samples)


def result(mixer, **options):
    mixed, target = mixer(*batch(), **options)
    return torch.cat([mixed.flatten(), target.labels_b, target.lam])


def test_the_generator_decides_everything(mixer):
    first, again, other = (result(mixer, generator=generator(seed)) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_generator_moves_on(mixer):
    stream = generator()
    assert not torch.equal(result(mixer, generator=stream), result(mixer, generator=stream))


def test_a_passed_generator_leaves_the_global_ones_alone(mixer):
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    result(mixer, generator=generator())
    mixer.mix(*[batch()[0]] * 2, generator=generator())
    assert torch.equal(before[0], torch.get_rng_state())
    assert (before[1] == np.random.get_state()[1]).all()
    assert before[2] == random.getstate()


def test_torchs_own_generator_is_the_default(mixer):
    with torch.random.fork_rng():
        results = []
        for numpy_seed in (0, 1):
            torch.manual_seed(5)
            np.random.seed(numpy_seed)
            random.seed(numpy_seed)
            results.append(result(mixer))
        assert torch.equal(*results)
        assert not torch.equal(results[0], result(mixer))


def test_partners_are_every_permutation_equally_often(mixer):
    images, labels = batch(samples=3, size=2)
    counts: dict[tuple[int, ...], int] = {}
    stream = generator()
    for _ in range(600):
        partners = tuple(mixer(images, labels, generator=stream)[1].labels_b.tolist())
        counts[partners] = counts.get(partners, 0) + 1
    assert len(counts) == 6
    assert stats.chisquare(list(counts.values())).pvalue > 0.01


def test_partner_and_lam_are_independent():
    """Among equal partners lam is still Beta(1, 1), and lam does not follow the position in the batch."""
    images, labels = torch.zeros(3000, 1, 1, 1), torch.arange(3000)
    target = Mixup()(images, labels, generator=generator())[1]
    lam = target.lam.numpy()
    assert stats.spearmanr(lam, target.labels_b.numpy()).pvalue > 0.01
    assert stats.spearmanr(lam, labels.numpy()).pvalue > 0.01
    assert stats.spearmanr(lam[:-1], lam[1:]).pvalue > 0.01


def test_a_batch_of_one_is_mixed_with_itself(mixer):
    images, labels = batch(samples=1)
    mixed, target = mixer(images, labels, generator=generator())
    torch.testing.assert_close(mixed, images)
    assert target.labels_a.tolist() == target.labels_b.tolist() == [0]


def test_values_on_the_device_are_never_looked_at(mixer):
    """Tensors of the meta device have no values: reading one raises."""
    images, labels = batch(device="cpu")
    mixed, target = mixer(images.to("meta"), labels.to("meta"), generator=generator())
    assert {tensor.device.type for tensor in (mixed, *target)} == {"meta"}
    for lam in (None, 0.3, torch.rand(8, device="meta")):
        mixed, share = mixer.mix(images.to("meta"), images.to("meta"), lam=lam, generator=generator())
        assert (mixed.shape, mixed.device.type, share.device.type) == (images.shape, "meta", "meta")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_cpu_and_gpu_draw_the_same(mixer):
    images, labels = batch()
    mixed, target = mixer(images, labels, generator=generator())
    mixed_gpu, target_gpu = mixer(images.cuda(), labels.cuda(), generator=generator())
    torch.testing.assert_close(mixed_gpu.cpu(), mixed, rtol=1e-6, atol=1e-6)
    assert all(torch.equal(there.cpu(), here) for there, here in zip(target_gpu, target, strict=True))
