"""What every mixer promises but for its lam and its mask, for all of ``MIXERS``."""

import copy
import random
from typing import Any

import numpy as np
import pytest
import torch
from mixer_scene import (
    BUILDERS,
    BY_MEANING,
    BY_PIXEL,
    MIX,
    SHAPE,
    Net,
    build,
    generator,
    mix,
    pair_for,
    pictures,
)
from torch import nn

from ssl_mix.errors import UserError
from ssl_mix.types import JointTarget


@MIX
@pytest.mark.parametrize("samples", [1, 2, 3, 65])
def test_a_batch_with_itself(name: str, samples: int, nets: dict[int, Net]) -> None:
    """Sample k is constant k + 1, so its mean tells whom it was mixed with and how much of whom it shows."""
    values = torch.arange(1, samples + 1)
    images = values.float()[:, None, None, None].expand(-1, *SHAPE[1:])
    batch = build(name, nets).mix_batch(images, values - 1, net=nets[3], generator=generator())
    if isinstance(batch.target, JointTarget):
        sources, shares = batch.partner, batch.target.shares
        assert torch.equal(batch.target.labels[shares > 0], sources[shares > 0])
        expected = (shares.double() * (sources + 1)).sum(1)
        assert (batch.images.double().mean(dim=(1, 2, 3)) - expected).abs().max() <= samples * 1e-6
        return
    assert torch.equal(batch.target.labels_a, values - 1)
    assert torch.equal(batch.target.labels_b, batch.partner)
    assert torch.equal(batch.partner.sort().values, values - 1)
    if name in BY_MEANING:
        return
    lam = batch.target.lam.double()
    expected = lam * values + (1 - lam) * (batch.partner + 1)
    error = (batch.images.double().mean(dim=(1, 2, 3)) - expected).abs().max()
    assert error <= samples * 1e-6


@MIX
@pytest.mark.parametrize("lam", [None, 0.0, 0.4, 1.0])
def test_inputs_stay_and_share_no_memory_with_the_result(name: str, lam: Any, nets: dict[int, Net]) -> None:
    mixer = build(name, nets)
    pair = pair_for(mixer, pictures(), pictures(seed=2), nets)
    asked = None if lam is None else torch.full((6,), lam)
    copies = [None if tensor is None else tensor.clone() for tensor in (*pair[:4], asked)]
    mixed = mixer.blend(pair, asked, generator())
    mixed.images.fill_(7)
    for tensor, before in zip((*pair[:4], asked), copies, strict=True):
        assert tensor is before or torch.equal(tensor, before)


@MIX
def test_a_batch_and_its_labels_stay_as_they_were(name: str, nets: dict[int, Net]) -> None:
    images, labels = pictures(), torch.arange(6) % 4
    batch = build(name, nets).mix_batch(images, labels, net=nets[3], generator=generator())
    batch.images.detach().fill_(7)
    batch.target[-2].fill_(3)  # labels of the partner, or of all
    assert torch.equal(images, pictures())
    assert torch.equal(labels, torch.arange(6) % 4)


@MIX
def test_the_generator_decides_everything(name: str, nets: dict[int, Net]) -> None:
    mixer = build(name, nets)
    first, again, other = (mix(mixer, pictures(), pictures(seed=2), nets, seed=seed) for seed in (0, 0, 1))
    assert all(torch.equal(one, two) for one, two in zip(first, again, strict=True))
    assert not torch.equal(first.images, other.images)


@MIX
def test_a_passed_generator_leaves_the_global_ones_alone(name: str, nets: dict[int, Net]) -> None:
    mixer = build(name, nets)
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    mixer.mix_batch(pictures(), torch.arange(6) % 4, net=nets[3], generator=generator())
    mix(mixer, pictures(), pictures(seed=2), nets)
    assert torch.equal(before[0], torch.get_rng_state())
    assert (before[1] == np.random.get_state()[1]).all()
    assert before[2] == random.getstate()


@MIX
def test_torchs_own_generator_is_the_default(name: str, nets: dict[int, Net]) -> None:
    mixer = build(name, nets)
    pair = pair_for(mixer, pictures(), pictures(seed=2), nets)
    results = []
    with torch.random.fork_rng():
        for other_seed in (0, 1):
            torch.manual_seed(5)
            np.random.seed(other_seed)
            random.seed(other_seed)
            results.append(mixer.blend(pair, None, None).images)
        assert torch.equal(*results)
        assert not torch.equal(results[0], mixer.blend(pair, None, None).images)


@MIX
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_dtypes(name: str, dtype: torch.dtype, nets: dict[int, Net]) -> None:
    """Images come back in their own dtype and are rounded once; lam and mask never are."""
    if dtype != torch.float32 and "net" in BUILDERS[name]().needs:
        pytest.skip("the network takes float32")
    mixer = build(name, nets)
    images_a, images_b = pictures(dtype=dtype), pictures(dtype=dtype, seed=2)
    mixed = mix(mixer, images_a, images_b, nets)
    exact = mix(mixer, images_a.float(), images_b.float(), nets)
    assert (mixed.images.dtype, mixed.lam.dtype) == (dtype, torch.float32)
    assert torch.equal(mixed.lam, exact.lam)
    assert torch.equal(mixed.mask, exact.mask)
    tolerance = torch.finfo(dtype).eps / 2 if dtype != torch.float64 else 1e-6
    torch.testing.assert_close(mixed.images.double(), exact.images.double(), rtol=tolerance, atol=1e-6)


@MIX
def test_whole_numbers_are_copied_or_refused(name: str, nets: dict[int, Net]) -> None:
    """Never blended into whole numbers."""
    if "net" in BUILDERS[name]().needs:
        pytest.skip("the network takes float32")
    mixer = build(name, nets)
    images_a, images_b = pictures(dtype=torch.uint8), pictures(dtype=torch.uint8, seed=2)
    try:
        mixed = mix(mixer, images_a, images_b, nets)
    except UserError as error:
        assert "torch.uint8" in str(error)
        assert "float" in str(error)
        return
    assert mixed.mask.dtype == torch.bool
    again = mix(mixer, images_a.float(), images_b.float(), nets)
    assert torch.equal(mixed.images.float(), again.images)


@BY_PIXEL
def test_gradients_are_the_shares(name: str, nets: dict[int, Net]) -> None:
    """Each pixel of the result is made of one unit of the two images, lam of it on average from the base."""
    mixer = build(name, nets)
    images_a, images_b = (pictures(seed=seed).requires_grad_() for seed in (1, 2))
    if "net" in mixer.needs:
        pytest.skip("the mask may depend on the images")
    mixed = mix(mixer, images_a, images_b, nets)
    mixed.images.sum().backward()
    own, other = (images.grad.mean(dim=(1, 2, 3)) for images in (images_a, images_b))
    torch.testing.assert_close(own, mixed.lam, rtol=0, atol=1e-5)
    torch.testing.assert_close(own + other, torch.ones(6), rtol=0, atol=1e-5)


@MIX
def test_strides_do_not_matter(name: str, nets: dict[int, Net]) -> None:
    mixer = build(name, nets)
    images_a, images_b = pictures(), pictures(seed=2)
    other_a, other_b = (images.to(memory_format=torch.channels_last) for images in (images_a, images_b))
    plain, other = mix(mixer, images_a, images_b, nets), mix(mixer, other_a, other_b, nets)
    torch.testing.assert_close(plain.images, other.images, rtol=0, atol=1e-5)


@MIX
def test_values_on_the_device_are_never_looked_at(name: str, nets: dict[int, Net]) -> None:
    """Tensors of the meta device have no values: reading one raises."""
    mixer = build(name, nets)
    if "net" in mixer.needs or isinstance(mixer, nn.Module):
        pytest.skip("the network is not on the meta device")
    images = pictures().to("meta")
    batch = mixer.mix_batch(images, torch.arange(6, device="meta"), generator=generator())
    tensors = (batch.images, *batch.target, batch.partner, batch.mask)
    assert {tensor.device.type for tensor in tensors} == {"meta"}
    for lam in (None, 0.3, torch.rand(6, device="meta")):
        mixed = mix(mixer, images, images, nets, lam)
        assert mixed.images.shape == images.shape
        assert {tensor.device.type for tensor in mixed} == {"meta"}


@MIX
@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_cpu_and_gpu_mix_the_same(name: Any, nets: Any) -> None:
    mixer = build(name, nets)
    if isinstance(mixer, nn.Module):
        pytest.skip("the mixer lives on the CPU")
    images, labels = pictures(), torch.arange(6) % 4
    here = mixer.mix_batch(images, labels, net=nets[3], generator=generator())
    net = copy.deepcopy(nets[3]).cuda()
    there = mixer.mix_batch(images.cuda(), labels.cuda(), net=net, generator=generator())
    assert torch.equal(there.partner.cpu(), here.partner)
    torch.testing.assert_close(there.images.cpu(), here.images, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(there.target.lam.cpu(), here.target.lam, rtol=1e-5, atol=1e-5)
