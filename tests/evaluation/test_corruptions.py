"""The fifteen corruptions: against SciPy and closed forms, seeded by image, at both sizes."""

import io

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image
from scipy import ndimage
from torch import Tensor

from ssl_mix.evaluation import CORRUPTIONS, corrupt, corruption_errors
from ssl_mix.evaluation.corruption_error import ALEXNET_ERRORS
from ssl_mix.evaluation.corruptions.blur import copied_from, disk, moved
from ssl_mix.evaluation.corruptions.kinds import KINDS
from ssl_mix.evaluation.corruptions.pixels import sampled, zoomed
from ssl_mix.evaluation.corruptions.textures import ICE, frost_texture, plasma

DRAWN = ("gaussian_noise", "shot_noise", "impulse_noise", "glass_blur", "motion_blur", "snow", "frost", "fog")
Array = npt.NDArray[np.float64]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def photographs(count: int = 3, side: int = 32, channels: int = 3) -> Tensor:
    """Smooth images with edges, as photographs have them."""
    draws = np.random.default_rng(7)
    made = (
        ndimage.gaussian_filter(draws.uniform(0, 255, (count, channels, side, side)), (0, 0, 3, 3)) * 6 - 640
    )
    made[:, :, side // 4 : side // 2, side // 3 :] += 90
    return torch.from_numpy(np.clip(made, 0, 255).astype(np.uint8))


def values(image: Tensor) -> Array:
    return image.permute(1, 2, 0).numpy().astype(np.float64)


def test_there_are_the_fifteen_of_the_benchmark() -> None:
    assert (
        *("gaussian_noise", "shot_noise", "impulse_noise", "defocus_blur", "glass_blur", "motion_blur"),
        *("zoom_blur", "snow", "frost", "fog", "brightness", "contrast", "elastic_transform", "pixelate"),
        "jpeg_compression",
    ) == CORRUPTIONS
    assert all(len(kind.small) == len(kind.large) == 5 for kind in KINDS.values())


@pytest.mark.parametrize("kind", CORRUPTIONS)
@pytest.mark.parametrize(("side", "channels"), [(8, 1), (32, 3), (130, 3)])
def test_a_batch_is_its_images_one_by_one_and_each_seed_has_its_images(
    kind: str, side: int, channels: int
) -> None:
    images, before = photographs(2, side, channels), photographs(2, side, channels)
    for severity in (1, 5):
        one_by_one = generator()
        alone = [corrupt(image[None], kind, severity, one_by_one) for image in images]
        together = corrupt(images, kind, severity, generator())
        assert together.dtype == torch.uint8 and torch.equal(together, torch.cat(alone))
        assert side == 8 or not torch.equal(together, images)  # some round to nothing on 8 pixels
        other = corrupt(images, kind, severity, generator(1))
        if kind in DRAWN or (kind == "elastic_transform"):
            assert not torch.equal(together, other)
        else:
            assert torch.equal(together, other)
    assert torch.equal(images, before)


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_severity_zero_changes_nothing_and_draws_nothing(kind: str) -> None:
    images, draws = photographs(), generator()
    found = corrupt(images, kind, 0, draws)
    assert torch.equal(found, images) and found.data_ptr() != images.data_ptr()
    assert torch.equal(draws.get_state(), generator().get_state())


@pytest.mark.parametrize("kind", [kind for kind in CORRUPTIONS if kind != "elastic_transform"])
def test_the_worst_severity_is_farther_from_the_images_than_the_first(kind: str) -> None:
    """Elastic transforms of small images move them less and bend them more, in the benchmark too."""
    images = photographs(8)
    first, last = (
        (corrupt(images, kind, severity, generator()).float() - images).abs().mean() for severity in (1, 5)
    )
    assert last > first > 0


@pytest.mark.parametrize(("side", "column"), [(32, "small"), (127, "small"), (128, "large")])
def test_parameters_go_by_the_shorter_side(side: int, column: str) -> None:
    level = {"small": 0.04, "large": 0.08}[column]
    gray = torch.full((1, 1, side, side + 9), 128, dtype=torch.uint8)
    found = corrupt(gray, "gaussian_noise", 1, generator()).float()
    assert found.std().item() == pytest.approx(255 * level, rel=0.05)
    assert found.mean().item() == pytest.approx(127.5, abs=1)


def test_noises_have_their_moments() -> None:
    gray = torch.full((1, 3, 120, 120), 100, dtype=torch.uint8)
    shot = corrupt(gray, "shot_noise", 5, generator()).float()  # 50 photons in white: variance x / c
    assert shot.std().item() == pytest.approx(255 * (100 / 255 / 50) ** 0.5, rel=0.02)
    impulse = corrupt(gray, "impulse_noise", 5, generator())
    assert (impulse == 0).float().mean().item() == pytest.approx(0.035, abs=0.003)
    assert (impulse == 255).float().mean().item() == pytest.approx(0.035, abs=0.003)
    assert set(impulse.unique().tolist()) == {0, 100, 255}


def test_contrast_and_brightness_are_their_formulas() -> None:
    images = photographs()
    means = images.double().mean(dim=(2, 3), keepdim=True)
    wanted = (images.double() - means) * 0.15 + means
    assert torch.equal(corrupt(images, "contrast", 5), (wanted + 1e-6).floor().byte())
    for number, image in enumerate(images):
        found = corrupt(images, "brightness", 3)[number]
        for row, column in ((0, 0), (9, 20), (31, 5)):
            pixel = image[:, row, column].double()
            value = min(pixel.max().item() + 0.15 * 255, 255)
            wanted = pixel * value / pixel.max() if pixel.max() > 0 else torch.full((3,), value).double()
            assert found[:, row, column].tolist() == (wanted + 1e-6).floor().int().tolist()
    black = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    assert set(corrupt(black, "brightness", 1).unique().tolist()) == {12}


def test_defocus_blur_is_a_correlation_with_a_disk() -> None:
    image = photographs(1, 150)
    for severity in (1, 5):
        kernel = disk(*KINDS["defocus_blur"].level(severity, 150))
        wanted = [ndimage.correlate(channel, kernel, mode="mirror") for channel in image[0].double().numpy()]
        found = corrupt(image, "defocus_blur", severity)[0].numpy()
        assert np.abs(found - np.floor(np.stack(wanted) + 1e-6)).max() <= 1
        assert (found != np.floor(np.stack(wanted) + 1e-6)).mean() < 1e-3
    assert disk(3, 0.1).sum() == pytest.approx(1)
    flat = disk(10, 1e-3)  # unsmoothed: every pixel of the disk the same
    inside = np.hypot(*np.mgrid[-10:11, -10:11]) <= 10
    np.testing.assert_allclose(flat, inside / inside.sum(), atol=1e-12)


def test_glass_copies_pixels_in_the_order_of_the_published_loop() -> None:
    draws, side = np.random.default_rng(3), 12
    for reach in (1, 2, 4):
        image = draws.integers(0, 256, (side, side, 3))
        wanted = image.copy()
        rows = columns = range(side - reach, reach, -1)
        steps = draws.integers(-reach, reach, size=(len(rows), len(columns), 2))
        for i, row in enumerate(rows):
            for j, column in enumerate(columns):
                right, down = steps[i, j]
                wanted[row, column] = wanted[row + down, column + right]
        grid = np.array(rows)[:, None] * side + np.array(columns)
        origin = copied_from(grid + steps[:, :, 1] * side + steps[:, :, 0], grid, side * side)
        np.testing.assert_array_equal(image.reshape(-1, 3)[origin].reshape(image.shape), wanted)


def test_motion_blur_is_a_weighted_sum_along_a_line() -> None:
    image = values(photographs(1)[0])
    for angle in (0.0, 30.0, -120.0, 90.0):
        found = moved(image, 6, 2.0, angle=angle)
        weights = [np.exp(-(step**2) / 8) for step in range(13)]
        for row, column in ((0, 0), (16, 9), (31, 31)):
            wanted = 0.0
            for step, weight in enumerate(weights):
                down = int(np.ceil(step * np.sin(np.deg2rad(angle)) - 0.5))
                right = int(np.ceil(step * np.cos(np.deg2rad(angle)) - 0.5))
                seen = image[min(max(row + down, 0), 31), min(max(column + right, 0), 31)]
                wanted = wanted + weight / sum(weights) * seen
            np.testing.assert_allclose(found[row, column], wanted)


def test_zooming_and_sampling_are_those_of_scipy() -> None:
    image = values(photographs(1, 33)[0])
    for factor in (1.0, 1.07, 1.3):
        crop = int(np.ceil(33 / factor))
        top = (33 - crop) // 2
        large = ndimage.zoom(image[top : top + crop, top : top + crop], (factor, factor, 1), order=1)
        cut = (large.shape[0] - 33) // 2
        np.testing.assert_allclose(zoomed(image, factor), large[cut : cut + 33, cut : cut + 33], atol=1e-9)
    rows, columns = np.mgrid[:33, :33] + np.random.default_rng(0).uniform(-20, 20, (2, 33, 33))
    for mode, twice in (("mirror", False), ("reflect", True)):
        wanted = [
            ndimage.map_coordinates(c, (rows, columns), order=1, mode=mode) for c in image.transpose(2, 0, 1)
        ]
        np.testing.assert_allclose(sampled(image, rows, columns, twice=twice), np.stack(wanted, 2), atol=1e-9)


def test_jpeg_and_pixelate_are_those_of_pillow() -> None:
    image = photographs(1, 130)
    picture = Image.fromarray(image[0].permute(1, 2, 0).numpy())
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=7)
    np.testing.assert_array_equal(
        values(corrupt(image, "jpeg_compression", 5)[0]), np.asarray(Image.open(file))
    )
    coarse = picture.resize((32, 32), Image.Resampling.BOX).resize((130, 130), Image.Resampling.BOX)
    np.testing.assert_array_equal(values(corrupt(image, "pixelate", 5)[0]), np.asarray(coarse))


def test_fog_is_a_fractal_from_0_to_1_that_keeps_the_brightest_value() -> None:
    field = plasma(32, 2.0, np.random.default_rng(0))
    assert (field.min(), field.max()) == (0, 1)
    coarse, fine = plasma(64, 8.0, np.random.default_rng(0)), plasma(64, 1.2, np.random.default_rng(0))
    assert np.abs(np.diff(coarse)).mean() < np.abs(np.diff(fine)).mean()
    white = torch.full((1, 3, 32, 32), 200, dtype=torch.uint8)
    found = corrupt(white, "fog", 5, generator())
    assert found.max() == 200 and found.min() == int(200 * (200 / 255) / (200 / 255 + 1.5))


def test_frost_has_the_colors_of_the_photographs() -> None:
    draws = np.random.default_rng(0)
    made = np.stack([frost_texture(64, 64, draws) for _ in range(200)])
    wanted = np.mean([color for color, _ in ICE], axis=0)
    np.testing.assert_allclose(made.mean(axis=(0, 1, 2)), wanted, atol=8)
    assert made.std(axis=(1, 2)).mean() == pytest.approx(np.mean([d for _, d in ICE]), rel=0.15)


def test_snow_brightens_and_black_images_get_flakes() -> None:
    black = torch.zeros(4, 3, 32, 32, dtype=torch.uint8)
    found = corrupt(black, "snow", 4, generator())
    assert found.min() >= int(0.15 * 0.5 * 255) and found.float().std() > 10
    assert torch.equal(found[:, 0], found[:, 2])  # flakes are white


def test_images_that_are_all_one_value_stay_so_under_blurs() -> None:
    for value in (0, 131, 255):
        flat = torch.full((1, 3, 140, 140), value, dtype=torch.uint8)
        for kind in (
            "defocus_blur",
            "glass_blur",
            "motion_blur",
            "zoom_blur",
            "contrast",
            "elastic_transform",
        ):
            assert corrupt(flat, kind, 2, generator()).unique().tolist() == [value], kind


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((torch.zeros(1, 3, 32, 32), "fog", 1), "corrupt takes uint8 images"),
        ((torch.zeros(1, 2, 32, 32, dtype=torch.uint8), "fog", 1), "with 1 or 3 channels"),
        ((torch.zeros(1, 3, 32, 32, dtype=torch.uint8), "frog", 1), "Did you mean 'fog'?"),
        ((torch.zeros(1, 3, 32, 32, dtype=torch.uint8), "fog", 6), "severity must be a whole number from 0"),
    ],
)
def test_bad_input_is_refused(arguments: tuple[Tensor, str, int], told: str) -> None:
    with pytest.raises(ValueError, match=told.replace("?", r"\?")):
        corrupt(*arguments)


def test_corruption_errors_are_means_over_severities_as_shares_of_a_reference() -> None:
    errors, reference = torch.rand(15, 5), torch.tensor(ALEXNET_ERRORS)
    for kind in range(15):
        mean = sum(float(error) for error in errors[kind]) / 5
        assert corruption_errors(errors)[kind].item() == pytest.approx(mean)
        relative = corruption_errors(errors, reference)[kind].item()
        assert relative == pytest.approx(mean / float(reference[kind]))
    same = reference[:, None].expand(-1, 5)
    assert corruption_errors(same, reference).mean().item() == pytest.approx(1)
    with pytest.raises(ValueError, match="errors must be shares"):
        corruption_errors(errors + 1)
    with pytest.raises(ValueError, match="reference must be 15 errors above 0"):
        corruption_errors(errors, torch.zeros(15))
