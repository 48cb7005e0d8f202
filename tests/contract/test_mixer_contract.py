"""What every mixer promises, for all of ``MIXERS``.

Mixers of hidden layers have no mixed image and are tested on their own. Those that ask for the importance of
the pixels get random numbers, those that ask for a network a small one.
"""

import copy
import random

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import nn

from ssl_mix.errors import UserError
from ssl_mix.mixers import MIXERS, CutMix, Mixup, Pair, RandomMixer, build_mixer

BUILDERS = {name: lambda name=name: build_mixer(name) for name in MIXERS}
BUILDERS["random"] = lambda: RandomMixer({Mixup(): 1, CutMix(): 2}, prob=0.8)
NAMES = [name for name, build in BUILDERS.items() if not build().hidden]
MIX = pytest.mark.parametrize("name", NAMES)

# The pixels of these are not where they were, so the mask does not tell from which pixel another comes.
MOVING = {"resizemix", "patchshuffle", "puzzlemix"}
# These keep lam exactly, so that it has the distribution it is drawn from: to 1e-6, or to half a pixel.
EXACT = {"mixup": 1e-6, "smoothmix": 1e-6, "patchmixup": 1e-6, "fmix": 0.5 / (24 * 40) + 1e-6}

# Shortest side in pixels, where that is not 1.
SMALLEST = {"patchshuffle": 16}

SHAPE = (6, 3, 24, 40)
SHAPES = [SHAPE, (1, 3, 24, 40), (2, 1, 33, 17), (3, 3, 32, 32)]
GIVEN = [None, 0.0, 0.37, 1.0, "per sample"]


class Net(nn.Module):
    """Three stages and a head."""

    hidden_layers = ("one", "two", "three")

    def __init__(self, colors):
        super().__init__()
        self.one = nn.Conv2d(colors, 6, 3, 2, 1)
        self.two = nn.Conv2d(6, 8, 3, 2, 1)
        self.three = nn.Conv2d(8, 8, 3, 1, 1)
        self.head = nn.Linear(8, 65)

    def features(self, images):
        return self.three(self.two(self.one(images).relu()).relu()).mean((2, 3))

    def forward(self, images):
        return self.head(self.features(images))


@pytest.fixture(scope="module")
def nets():
    """A network by the number of colors."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return {colors: Net(colors) for colors in (1, 3)}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def pictures(shape=SHAPE, dtype=torch.float32, seed=1):
    images = torch.rand(shape, generator=generator(seed))
    return (images * 255).to(dtype) if dtype == torch.uint8 else images.to(dtype)


def build(name, nets, shape=SHAPE):
    mixer = BUILDERS[name]()
    mixer.prepare(nets[shape[1]], shape[1:])
    return mixer


def pair_for(mixer, images_a, images_b, nets):
    """Two batches with what the mixer needs."""
    shape = (len(images_a), *images_a.shape[2:])
    importance = [torch.rand(shape, generator=generator(seed)) + 0.01 for seed in (11, 12)]
    if "saliency" not in mixer.needs:
        importance = [None, None]
    else:
        importance = [one.to(images_a.device) for one in importance]
    return Pair(images_a, images_b, *importance, nets[images_a.shape[1]])


def mix(mixer, images_a, images_b, nets, lam=None, seed=0):
    """The mixed images, lam, and the mask."""
    return mixer.blend(pair_for(mixer, images_a, images_b, nets), lam, generator(seed))


def given_lam(lam, samples):
    return torch.rand(samples, generator=generator(3)) if lam == "per sample" else lam


def check_share(mixed):
    """The mean of an image of ones and zeros is lam: the very count of pixels, or to 1e-6 where they are
    blended."""
    mean = mixed.images.double().mean(dim=(1, 2, 3))
    assert (mixed.lam.dtype, mixed.lam.shape) == (torch.float32, mean.shape)
    if mixed.mask.dtype == torch.bool:
        pixels = mixed.images[0, 0].numel()
        assert torch.equal((mixed.lam.double() * pixels).round(), (mean * pixels).round())
        assert (mixed.lam.double() - mean).abs().max() <= torch.finfo(torch.float32).eps / 2
    else:
        assert (mixed.lam.double() - mean).abs().max() <= 1e-6


@MIX
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("lam", GIVEN)
def test_label_weight_is_the_pixel_share(name, shape, lam, nets):
    """Whatever lam is asked for, and for images that are not square, the label says what the image shows."""
    ones = torch.ones(shape)
    mixer = build(name, nets, shape)
    mixed = mix(mixer, ones, torch.zeros(shape), nets, given_lam(lam, shape[0]))
    assert (mixed.images.dtype, mixed.images.shape) == (ones.dtype, shape)
    check_share(mixed)


@MIX
@pytest.mark.parametrize("lam", [None, 0.37])
def test_the_mask_says_what_the_picture_shows(name, lam, nets):
    images_a, images_b = pictures(), pictures(seed=2)
    mixed = mix(build(name, nets), images_a, images_b, nets, lam)
    assert mixed.mask.dtype in (torch.bool, torch.float32)
    assert mixed.mask.shape in ((6, 1, 24, 40), (6, 1, 1, 1))
    mask = mixed.mask.double()
    assert (mask.mean(dim=(1, 2, 3)) - mixed.lam.double()).abs().max() <= 1e-6
    if name not in MOVING:
        expected = mask * images_a.double() + (1 - mask) * images_b.double()
        torch.testing.assert_close(mixed.images.double(), expected, rtol=0, atol=1e-6)


@MIX
def test_the_mask_of_moved_pixels_is_that_of_ones_and_zeros(name, nets):
    """Whatever moves, the mask is where the base image has come to lie: not transposed, for one."""
    ones = torch.ones(SHAPE)
    mixed = mix(build(name, nets), ones, torch.zeros(SHAPE), nets)
    expected = mixed.mask.float().expand(SHAPE)
    torch.testing.assert_close(mixed.images, expected, rtol=0, atol=1e-6)


@MIX
@pytest.mark.parametrize("samples", [1, 2, 3, 65])
def test_a_batch_with_itself(name, samples, nets):
    """Sample k is constant k + 1, so its mean tells whom it was mixed with and how much of whom it shows."""
    values = torch.arange(1, samples + 1)
    images = values.float()[:, None, None, None].expand(-1, *SHAPE[1:])
    batch = build(name, nets).mix_batch(images, values - 1, net=nets[3], generator=generator())
    assert torch.equal(batch.target.labels_a, values - 1)
    assert torch.equal(batch.target.labels_b, batch.partner)
    assert torch.equal(batch.partner.sort().values, values - 1)
    lam = batch.target.lam.double()
    expected = lam * values + (1 - lam) * (batch.partner + 1)
    error = (batch.images.double().mean(dim=(1, 2, 3)) - expected).abs().max()
    assert error <= samples * 1e-6


@MIX
@pytest.mark.parametrize("lam", [None, 0.0, 0.4, 1.0])
def test_inputs_stay_and_share_no_memory_with_the_result(name, lam, nets):
    mixer = build(name, nets)
    pair = pair_for(mixer, pictures(), pictures(seed=2), nets)
    asked = None if lam is None else torch.full((6,), lam)
    copies = [None if tensor is None else tensor.clone() for tensor in (*pair[:4], asked)]
    mixed = mixer.blend(pair, asked, generator())
    mixed.images.fill_(7)
    for tensor, before in zip((*pair[:4], asked), copies, strict=True):
        assert tensor is before or torch.equal(tensor, before)


@MIX
def test_a_batch_and_its_labels_stay_as_they_were(name, nets):
    images, labels = pictures(), torch.arange(6) % 4
    batch = build(name, nets).mix_batch(images, labels, net=nets[3], generator=generator())
    batch.images.detach().fill_(7)
    batch.target.labels_b.fill_(3)
    assert torch.equal(images, pictures())
    assert torch.equal(labels, torch.arange(6) % 4)


@MIX
def test_the_generator_decides_everything(name, nets):
    mixer = build(name, nets)
    first, again, other = (mix(mixer, pictures(), pictures(seed=2), nets, seed=seed) for seed in (0, 0, 1))
    assert all(torch.equal(one, two) for one, two in zip(first, again, strict=True))
    assert not torch.equal(first.images, other.images)


@MIX
def test_a_passed_generator_leaves_the_global_ones_alone(name, nets):
    mixer = build(name, nets)
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    mixer.mix_batch(pictures(), torch.arange(6) % 4, net=nets[3], generator=generator())
    mix(mixer, pictures(), pictures(seed=2), nets)
    assert torch.equal(before[0], torch.get_rng_state())
    assert (before[1] == np.random.get_state()[1]).all()
    assert before[2] == random.getstate()


@MIX
def test_torchs_own_generator_is_the_default(name, nets):
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
@pytest.mark.parametrize("lam", [0.0, 0.05, 0.3, 0.5, 0.77, 1.0, "per sample"])
def test_a_given_lam_is_kept_to(name, lam, nets):
    """To 1e-6, to half a pixel, or to what rounding the sides of boxes and holes to whole pixels makes."""
    ones = torch.ones(64, *SHAPE[1:])
    share = mix(build(name, nets), ones, torch.zeros_like(ones), nets, given_lam(lam, 64)).lam
    asked = given_lam(lam, 64)
    if name in EXACT:
        assert (share - asked).abs().max() <= EXACT[name]
    elif name == "resizemix":  # Both sides are rounded by at most half a pixel.
        assert (share - asked).abs().max() <= 0.5 / 24 + 0.5 / 40
    elif (
        name == "gridmix"
    ):  # In rows and in columns each hole is off by at most a pixel; cells are nearly square.
        assert (share - asked).abs().max() <= 9 / 24 + 6 / 40
        assert (share - asked).abs().mean() <= 0.05
    elif name in (
        "cutmix",
        "patchshuffle",
    ):  # Sides are rounded down, and clipping makes boxes smaller still.
        assert (share - asked).min() >= -1e-6


@MIX
def test_a_larger_given_lam_shows_more_of_the_base_picture(name, nets):
    images = pictures((64, *SHAPE[1:])), pictures((64, *SHAPE[1:]), seed=2)
    mixer = build(name, nets)
    if isinstance(mixer, nn.Module):
        pytest.skip("it has not learnt to")
    shares = [mix(mixer, *images, nets, lam).lam.mean() for lam in (0.1, 0.4, 0.7, 1.0)]
    assert shares == sorted(shares)
    assert shares[-1] - shares[0] > 0.3


def distance(lam, cdf, resolution):
    """Kolmogorov and Smirnov's, where observations may be off by ``resolution``."""
    levels = np.linspace(0, 1, 2001)
    below, upto = (
        np.searchsorted(np.sort(lam), levels + shift, side) / len(lam)
        for shift, side in ((-resolution, "left"), (resolution, "right"))
    )
    return max((below - cdf(levels)).max(), (cdf(levels) - upto).max())


# How far whole pixels keep lam from what was drawn, for 96 x 96 images.
DRAWN = {"mixup": 1e-6, "fmix": 0.5 / 96**2 + 1e-6, "gridmix": 0.03}


@pytest.mark.parametrize("name", DRAWN)
@pytest.mark.parametrize("alpha", [0.2, 1.0, 2.0])
def test_lam_has_its_beta_distribution(name, alpha):
    images = torch.zeros(800, 1, 96, 96)
    lam = build_mixer(name, alpha).mix(images, images, generator=generator())[1].double().numpy()
    assert distance(lam, stats.beta(alpha, alpha).cdf, DRAWN[name]) < stats.kstwo(800).isf(0.01)
    other = stats.beta(alpha * 2, alpha * 2)
    assert distance(lam, other.cdf, DRAWN[name]) > stats.kstwo(800).isf(0.01)


@MIX
def test_every_sample_has_its_own_lam(name, nets):
    """Not one for the batch; of PuzzleMix, whose blocks may be large, many are equal."""
    images = pictures((50, 3, 64, 64)), pictures((50, 3, 64, 64), seed=2)
    lam = mix(build(name, nets, images[0].shape), *images, nets).lam
    assert len(lam.unique()) >= (2 if name == "puzzlemix" else 15)


@MIX
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_dtypes(name, dtype, nets):
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
def test_whole_numbers_are_copied_or_refused(name, nets):
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


@MIX
def test_gradients_are_the_shares(name, nets):
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
def test_strides_do_not_matter(name, nets):
    mixer = build(name, nets)
    images_a, images_b = pictures(), pictures(seed=2)
    other_a, other_b = (images.to(memory_format=torch.channels_last) for images in (images_a, images_b))
    plain, other = mix(mixer, images_a, images_b, nets), mix(mixer, other_a, other_b, nets)
    torch.testing.assert_close(plain.images, other.images, rtol=0, atol=1e-5)


@MIX
def test_values_on_the_device_are_never_looked_at(name, nets):
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
def test_cpu_and_gpu_mix_the_same(name, nets):
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


@MIX
@settings(max_examples=12, deadline=None)
@given(
    samples=st.integers(1, 7),
    height=st.integers(1, 45),
    width=st.integers(1, 45),
    lam=st.one_of(st.none(), st.floats(0, 1)),
    dtype=st.sampled_from([torch.float32, torch.bfloat16, torch.float64]),
    seed=st.integers(0, 2**31),
)
def test_label_weight_is_the_pixel_share_for_all(name, samples, height, width, lam, dtype, seed):
    mixer = BUILDERS[name]()
    if "net" in mixer.needs or isinstance(mixer, nn.Module):
        pytest.skip("made for one size and dtype")
    assume(min(height, width) >= SMALLEST.get(name, 1))
    ones = torch.ones(samples, 2, height, width, dtype=dtype)
    mixed = mix(mixer, ones, torch.zeros_like(ones), {2: None}, lam, seed)
    if dtype == torch.bfloat16 and mixed.mask.dtype != torch.bool:
        error = (mixed.images.double().mean(dim=(1, 2, 3)) - mixed.lam.double()).abs().max()
        assert error <= torch.finfo(dtype).eps / 2
    else:
        check_share(mixed)
