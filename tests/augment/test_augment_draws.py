"""What is drawn: flips and crops, operations and magnitudes, squares, views."""

import re
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import chi2_contingency, chisquare
from timm.data.auto_augment import LEVEL_TO_ARG
from torch import Tensor

from ssl_mix.augment import Augmentation, RandAugment, cutout, flip_and_crop
from ssl_mix.augment.apply import Choices, apply_choices
from ssl_mix.augment.pools import GEOMETRY, OPERATIONS, POOLS, Variant
from ssl_mix.augment.weak import apply_shifts, sample_shifts
from ssl_mix.errors import UserError

VARIANTS = list(POOLS)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(count: int, channels: int = 3, height: int = 16, width: int = 16) -> Tensor:
    return torch.randint(0, 256, (count, channels, height, width), dtype=torch.uint8, generator=seeded(9))


@pytest.mark.parametrize(
    ("height", "width", "padding"), [(16, 16, 4), (9, 13, 3), (13, 9, 8), (5, 4, 0), (2, 3, 1)]
)
def test_shifts_equal_padding_cropping_and_mirroring(height: int, width: int, padding: int) -> None:
    images = noise(60, 2, height, width)
    before = images.clone()
    shifts = sample_shifts(60, flip=True, padding=padding, generator=seeded())
    result = apply_shifts(images, shifts)
    assert torch.equal(images, before)
    for image, shifted, flip, down, right in zip(images, result, *(s.tolist() for s in shifts), strict=True):
        padded = np.pad(image.numpy(), ((0, 0), (padding, padding), (padding, padding)), mode="reflect")
        top, left = padding + down, padding + right
        crop = padded[:, top : top + height, left : left + width]
        assert np.array_equal(shifted.numpy(), crop[:, :, ::-1] if flip else crop)


def test_shifts_are_uniform_and_half_are_mirrored() -> None:
    shifts = sample_shifts(90_000, flip=True, padding=4, generator=seeded())
    assert shifts.flip.float().mean() == pytest.approx(0.5, abs=0.01)
    for moves in (shifts.rows, shifts.columns):
        assert torch.bincount(moves + 4).float().div(10_000) == pytest.approx(np.ones(9), abs=0.05)
    assert not sample_shifts(100, flip=False, padding=4, generator=seeded()).flip.any()


@pytest.mark.parametrize("padding", [-1, 16, 17])
def test_padding_that_does_not_fit_is_refused(padding: int) -> None:
    with pytest.raises(UserError, match=f"padding.*got {padding}"):
        flip_and_crop(noise(2), padding=padding, generator=seeded())


@pytest.mark.parametrize("variant", VARIANTS)
def test_operations_are_drawn_with_their_probabilities(variant: str) -> None:
    draws, probability = {"torchssl": (3, 1.0), "google": (2, 0.5)}.get(variant, (2, 0.5))
    operation = RandAugment(variant).sample(10_000, 32, 32, seeded()).operation  # type: ignore[arg-type]
    assert operation.shape == (draws, 10_000)
    expected = np.full(14, probability / 14)
    expected[OPERATIONS.index("identity")] += 1 - probability
    for drawn in operation:
        assert chisquare(torch.bincount(drawn, minlength=14), 10_000 * expected).pvalue > 0.01


@pytest.mark.parametrize("variant", VARIANTS)
def test_pictures_and_draws_are_independent(variant: str) -> None:
    operation = RandAugment(variant).sample(20_000, 32, 32, seeded()).operation  # type: ignore[arg-type]
    for one, other in ((operation[0], operation[1]), (operation[0, ::2], operation[0, 1::2])):
        table = torch.bincount(14 * one + other, minlength=196).view(14, 14)
        assert chi2_contingency(table).pvalue > 0.01


# Smallest and largest magnitude at 32 pixels, geometry 1; rotation in degrees, translation in pixels.
LIMITS = {
    "torchssl": {
        "brightness": (0.05, 0.95),
        "posterize": (4, 7),
        "rotate": (-30, 30),
        "shear_x": (-0.3, 0.3),
        "translate_y": (-9.6, 9.6),
        "solarize": (0, 256),
    },
    "kekmodel": {
        "brightness": (0.14, 0.86),
        "posterize": (4, 7),
        "rotate": (-27, 27),
        "shear_x": (-0.27, 0.27),
        "translate_y": (-8, 8),
        "solarize": (25.6, 230.4),
    },
    "google": {
        "brightness": (0.28, 1.72),
        "posterize": (1, 4),
        "rotate": (-27, 27),
        "shear_x": (-0.27, 0.27),
        "translate_y": (-9, 9),
        "solarize": (25.6, 230.4),
    },
}
LIMITS["self-tuning"] = LIMITS["kekmodel"]


TIMM = {
    "posterize": "PosterizeIncreasing",
    "solarize": "SolarizeIncreasing",
    "brightness": "BrightnessIncreasing",
    "contrast": "ContrastIncreasing",
    "color": "ColorIncreasing",
    "sharpness": "SharpnessIncreasing",
    "rotate": "Rotate",
    "shear_x": "ShearX",
    "translate_y": "TranslateYRel",
}


def level_of(function: Any, strength: int) -> float:
    """What a function of timm makes of a strength."""
    found: float = function(strength, {})[0]
    return found


@pytest.mark.parametrize("strength", [6, 7, 9])
def test_strengths_of_timms_policy_are_timms(strength: int, monkeypatch: pytest.MonkeyPatch) -> None:
    variant: Variant = {6: "rand-m6", 7: "rand-m7", 9: "rand-m9"}[strength]  # type: ignore[assignment]
    drawn = RandAugment(variant).sample(20_000, 10, 10, seeded())
    levels = drawn.magnitude[drawn.operation == OPERATIONS.index("rotate")].abs() / 3  # 30 degrees at 10
    assert abs(levels.mean().item() - strength) < 0.05 and 0.4 < levels.std() < 0.6
    monkeypatch.setattr("ssl_mix.augment.randaugment.DEVIATION", 0.0)
    choices = RandAugment(variant).sample(2000, 10, 10, seeded())
    for name, theirs in TIMM.items():
        found = choices.magnitude[choices.operation == OPERATIONS.index(name)].unique()
        unit = 10 if name == "translate_y" else 1  # pixels
        expected = {round(unit * level_of(LEVEL_TO_ARG[theirs], strength), 6) for _ in range(40)}
        assert {round(value, 6) for value in found.tolist()} == expected, name


def test_one_image_in_four_is_erased_by_up_to_a_third() -> None:
    images = torch.full((4000, 1, 30, 30), 200, dtype=torch.uint8)
    hidden = (cutout(images, variant="rand-m9", generator=seeded()) != 200).flatten(1).float().mean(1)
    assert (hidden > 0).float().mean().item() == pytest.approx(0.25, abs=0.02)
    assert 0.3 < hidden.max() <= 0.35  # squares of whole pixels
    assert cutout(images, variant="rand-m7", generator=seeded()).equal(images)


@pytest.mark.parametrize("variant", LIMITS)
def test_magnitudes_cover_their_ranges(variant: str) -> None:
    choices = RandAugment(variant).sample(40_000, 32, 32, seeded())  # type: ignore[arg-type]
    for name, (low, high) in LIMITS[variant].items():
        values = choices.magnitude[choices.operation == OPERATIONS.index(name)]
        slack = 0.01 * (high - low) if variant == "torchssl" and name != "posterize" else 1e-9
        assert low - 1e-9 <= values.min() <= low + slack
        assert high - slack <= values.max() <= high + 1e-9
        if low < 0:
            assert (values > 0).float().mean().item() == pytest.approx(
                (values < 0).float().mean().item(), abs=0.05
            )
    if variant != "torchssl":
        levels = choices.magnitude[choices.operation == OPERATIONS.index("brightness")].unique()
        assert len(levels) == 9


@pytest.mark.parametrize(
    ("variant", "bits"), [("kekmodel", [4, 4, 5, 5, 6, 6, 6, 7, 7]), ("google", [4, 4, 3, 3, 2, 2, 2, 1, 1])]
)
def test_levels_of_posterize(variant: str, bits: list[int]) -> None:
    """4 + int(0.4 level) and 4 - int(0.4 level) for the levels 1 to 9."""
    choices = RandAugment(variant).sample(60_000, 32, 32, seeded())  # type: ignore[arg-type]
    values, counts = choices.magnitude[choices.operation == OPERATIONS.index("posterize")].unique(
        return_counts=True
    )
    expected, shares = np.unique(bits, return_counts=True)
    assert np.array_equal(values, expected)
    assert chisquare(counts, counts.sum().item() * shares / 9).pvalue > 0.01


def test_geometry_scales_what_moves_pixels_and_nothing_else() -> None:
    full, half = (RandAugment(geometry=g).sample(500, 32, 32, seeded()) for g in (1.0, 0.5))
    assert torch.equal(full.operation, half.operation)
    moving = torch.tensor([name in GEOMETRY for name in OPERATIONS])[full.operation]
    assert torch.equal(half.magnitude, torch.where(moving, full.magnitude / 2, full.magnitude))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_batch_is_altered_as_its_pictures_are_alone(variant: str, channels: int) -> None:
    images = noise(50, channels, 12, 20)
    choices = RandAugment(variant).sample(50, 12, 20, seeded())  # type: ignore[arg-type]
    before = images.clone()
    together = apply_choices(images, choices)
    assert torch.equal(images, before)
    assert (together != images).flatten(1).any(dim=1).float().mean() > 0.5
    for i in range(50):
        alone = apply_choices(images[i : i + 1], Choices(*(c[:, i : i + 1] for c in choices[:2])))
        assert torch.equal(alone[0], together[i])


@pytest.mark.parametrize(
    ("variant", "color", "low", "high"),
    [
        ("torchssl", (125, 123, 114), 0.0, 0.5),
        ("kekmodel", (127,) * 3, 0.5, 0.5),
        ("self-tuning", (127,) * 3, 0.5, 0.5),  # 16 of 32 pixels
        ("google", (0,) * 3, 0.5, 0.5),
    ],
)
def test_cutout_paints_one_clipped_square(
    variant: str, color: tuple[int, ...], low: float, high: float
) -> None:
    images = torch.full((4000, 3, 32, 32), 200, dtype=torch.uint8)
    result = cutout(images, variant=variant, generator=seeded())  # type: ignore[arg-type]
    hidden = (result != 200).any(dim=1)
    assert torch.equal(result.movedim(1, 3)[hidden].unique(dim=0), torch.tensor([color], dtype=torch.uint8))
    rows, columns = hidden.any(dim=2).sum(1), hidden.any(dim=1).sum(1)
    assert torch.equal(hidden.sum((1, 2)), rows * columns)  # a filled rectangle
    assert rows.max() == columns.max() == 32 * high
    assert hidden[:, 0].any(dim=1).any() and hidden[:, -1].any(dim=1).any()
    # A square of side s with its center anywhere shows min(x + s/2, 1) - max(x - s/2, 0): s - s^2 / 4 on
    # average.
    mean = np.mean([s - s * s / 4 for s in np.linspace(low, high, 1001)])
    assert (rows.float().mean() / 32).item() == pytest.approx(mean, abs=0.005)


@pytest.mark.parametrize(("height", "width"), [(20, 48), (48, 20)])
def test_cutout_is_square_in_pictures_that_are_not(height: int, width: int) -> None:
    images = torch.full((2000, 3, height, width), 200, dtype=torch.uint8)
    hidden = cutout(images, variant="google", generator=seeded())[:, 0] == 0
    assert hidden.any(dim=2).sum(1).max() == hidden.any(dim=1).sum(1).max() == 10
    assert hidden.any(dim=0).all() and (images == 200).all()


def test_the_square_of_self_tuning_has_16_pixels_in_pictures_of_any_size() -> None:
    hidden = cutout(
        torch.full((500, 3, 224, 224), 200, dtype=torch.uint8), variant="self-tuning", generator=seeded()
    )
    assert (hidden[:, 0] == 127).sum((1, 2)).max() == 16 * 16


def test_cutout_of_gray_pictures_is_gray() -> None:
    result = cutout(torch.full((50, 1, 8, 8), 200, dtype=torch.uint8), variant="torchssl", generator=seeded())
    assert set(result.unique().tolist()) == {124, 200}


def test_views_are_what_they_say() -> None:
    augmentation = Augmentation(mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
    images = noise(30, 3, 32, 32)
    views = augmentation.views(images, ("plain", "weak", "strong"), seeded())
    expected = (images.double() / 255 - torch.tensor([0.5, 0.4, 0.3]).view(3, 1, 1).double()) / torch.tensor(
        [0.2, 0.3, 0.4], dtype=torch.float64
    ).view(3, 1, 1)
    torch.testing.assert_close(views["plain"], expected.float(), rtol=1e-5, atol=1e-5)
    weak = flip_and_crop(images, generator=seeded())
    assert torch.equal(views["weak"], augmentation.normalize(weak))
    assert not torch.equal(views["strong"], views["weak"])


@pytest.mark.parametrize("channels", [1, 3])
def test_the_layout_changes_no_value(channels: int) -> None:
    augmentation = Augmentation(mean=(0.5, 0.4, 0.3)[:channels], std=(0.2, 0.3, 0.4)[:channels])
    images = noise(7, channels, 12, 20)
    assert torch.equal(augmentation.normalize(images), augmentation.normalize(images, channels_last=True))


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("count", [0, 1, 2])
def test_small_batches(variant: str, count: int) -> None:
    augmentation = Augmentation(mean=(0.5,) * 3, std=(0.2,) * 3, variant=variant)  # type: ignore[arg-type]
    images = noise(count, 3, 16, 24)
    before = images.clone()
    shapes = [augmentation.views(images, ("strong",), seeded(seed))["strong"].shape for seed in range(20)]
    assert set(shapes) == {(count, 3, 16, 24)} and torch.equal(images, before)


def test_pictures_that_are_not_bytes_in_one_or_three_channels_are_refused() -> None:
    for images in (noise(2).float(), noise(2, 4), noise(2)[0]):
        with pytest.raises(UserError, match=re.escape(str(tuple(images.shape)))):
            RandAugment()(images, generator=seeded())


@pytest.mark.parametrize("channels_last", [False, True])
def test_views_have_the_layout_asked_for_and_depend_on_the_generator_alone(channels_last: bool) -> None:
    augmentation = Augmentation(mean=(0.5,) * 3, std=(0.2,) * 3)
    images = noise(10)
    first, again = (
        augmentation.views(images, ("strong",), seeded(1), channels_last=channels_last) for _ in "ab"
    )
    layout = torch.channels_last if channels_last else torch.contiguous_format
    assert first["strong"].is_contiguous(memory_format=layout) and first["strong"].dtype == torch.float32
    assert torch.equal(first["strong"], again["strong"])
    assert not torch.equal(first["strong"], augmentation.views(images, ("strong",), seeded(2))["strong"])


def test_unknown_names_are_refused_with_the_nearest() -> None:
    with pytest.raises(UserError, match="'strong'"):
        Augmentation(mean=(0.5,), std=(0.2,)).views(noise(2, 1), ("stong",), seeded())
    for refused in (
        lambda: RandAugment("goggle"),
        lambda: cutout(noise(2), variant="goggle", generator=seeded()),
    ):  # type: ignore[arg-type]
        with pytest.raises(UserError, match="'google'"):
            refused()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_draws_and_makes_the_same_pictures_without_waiting() -> None:
    augmentation = Augmentation(mean=(0.5,) * 3, std=(0.2,) * 3)
    images = noise(64, 3, 32, 32)
    on_gpu = images.cuda()
    torch.cuda.set_sync_debug_mode("error")
    try:
        views = augmentation.views(on_gpu, ("weak", "strong"), seeded())
    finally:
        torch.cuda.set_sync_debug_mode("default")
    for name, view in augmentation.views(images, ("weak", "strong"), seeded()).items():
        different = (view - views[name].cpu()).abs() > 1e-5
        assert different.float().mean() < 0.001, name
