"""Arrays of somebody's own as a data set: layouts, number types, labels."""

from typing import Any

import numpy as np
import pytest
import torch
from augmentations import augmentation_of
from sklearn.datasets import load_digits

from ssl_mix import UserError
from ssl_mix.datasets import DataSet, ImageSet, ResidentImages, as_dataset, choose_split
from ssl_mix.datasets.decode import square
from ssl_mix.datasets.originals import Form
from ssl_mix.datasets.pixels import as_picture
from ssl_mix.datasets.read_images import read_images

DIGITS = load_digits()
GRAY = np.rint(DIGITS.images * (255 / 16)).astype(np.uint8)  # (1797, 8, 8)
COLOR = np.random.default_rng(0).integers(0, 256, (12, 16, 16, 3), dtype=np.uint8)
LABELS = np.arange(12) % 3


def pixels(part: ImageSet | None) -> np.ndarray[Any, Any]:
    assert part is not None
    return next(part.images.batches([torch.arange(len(part.images))], torch.device("cpu"))).numpy()


def test_gray_arrays_stay_as_they_are() -> None:
    data = as_dataset(
        (GRAY[:1000], DIGITS.target[:1000]), GRAY[1000:1500], (GRAY[1500:], DIGITS.target[1500:])
    )
    assert isinstance(data.train.images, ResidentImages) and data.train.images.shape == (1, 8, 8)
    np.testing.assert_array_equal(pixels(data.train)[:, 0], GRAY[:1500])
    np.testing.assert_array_equal(pixels(data.test)[:, 0], GRAY[1500:])
    assert data.train.labels.tolist() == DIGITS.target[:1000].tolist() + [-1] * 500
    assert data.classes == tuple("0123456789") and not data.notes and data.train.files is None
    assert augmentation_of(data).mean == (round(float(GRAY[:1500].mean() / 255), 3),)


@pytest.mark.parametrize("make", [np.asarray, torch.from_numpy], ids=["numpy", "torch"])
@pytest.mark.parametrize("layout", ["last", "first"])
@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64", "float16"])
def test_layouts_and_number_types_give_the_same(make: Any, layout: str, dtype: str) -> None:
    values = COLOR if dtype == "uint8" else (COLOR / 255).astype(dtype)
    values = values if layout == "last" else np.ascontiguousarray(values.transpose(0, 3, 1, 2))
    data = as_dataset((make(values), LABELS.tolist()))
    np.testing.assert_array_equal(pixels(data.train), COLOR.transpose(0, 3, 1, 2))


def test_labels_of_a_column_in_which_some_are_missing() -> None:
    """What data frames make of such columns: floats, or objects with NaN for a name."""
    for known, missing in ((LABELS.astype(float), np.nan), (LABELS.astype(str).astype(object), np.nan)):
        known[6:] = missing
        data = as_dataset((COLOR, known))
        assert data.train.labels.tolist() == [*LABELS[:6], *[-1] * 6] and data.classes == ("0", "1", "2")


def test_floats_are_rounded_to_the_nearest_byte() -> None:
    values = np.linspace(0, 1, 12 * 64).reshape(12, 8, 8)
    found = pixels(as_dataset((values, LABELS)).train)[:, 0]
    np.testing.assert_array_equal(found, np.rint(values * 255).astype(np.uint8))


def test_read_only_reversed_and_foreign_arrays() -> None:
    frozen = COLOR.copy()
    frozen.flags.writeable = False
    np.testing.assert_array_equal(pixels(as_dataset((frozen, LABELS)).train), COLOR.transpose(0, 3, 1, 2))
    turned = pixels(as_dataset((COLOR[::-1], LABELS)).train)
    np.testing.assert_array_equal(turned, COLOR[::-1].transpose(0, 3, 1, 2))
    foreign = as_dataset(((COLOR / 255).astype(">f4"), LABELS))
    np.testing.assert_array_equal(pixels(foreign.train), COLOR.transpose(0, 3, 1, 2))


def test_one_part_in_color_makes_all_so() -> None:
    data = as_dataset((GRAY[:20], np.arange(20) % 10), np.zeros((3, 8, 8, 3), np.uint8))
    assert data.train.images.shape == (3, 8, 8)
    np.testing.assert_array_equal(pixels(data.train)[:20], GRAY[:20, None].repeat(3, axis=1))


@pytest.mark.parametrize("fit", ["cut", "squash"])
def test_other_shapes_are_resized_as_files_are(fit: Any) -> None:
    values = np.random.default_rng(1).integers(0, 256, (6, 20, 28, 3), dtype=np.uint8)
    data = as_dataset((values, LABELS[:6]), fit=fit, image_size=16)
    for image, found in zip(values, pixels(data.train), strict=True):
        picture = as_picture(torch.from_numpy(image).permute(2, 0, 1))
        np.testing.assert_array_equal(found, square(picture, 16, 3, fit))
    default = as_dataset((values, LABELS[:6]))
    assert default.train.images.shape == (3, 32, 32)
    assert default.notes[0] == (
        "the images have 28x20 pixels and are stored at 32x32: choose another side with `image_size`"
    )


def test_names_as_labels_are_sorted_and_unknown_ones_are_unlabeled() -> None:
    names = ["dog", "cat", "", "dog", "cow", "dog"]
    data = as_dataset((COLOR[:6], names))
    assert data.classes == ("cat", "cow", "dog")
    assert data.train.labels.tolist() == [2, 0, -1, 2, 1, 2]
    split = choose_split(data.train.labels, 3, per_class=1, seed=0, classes=data.classes)
    assert 2 in split.unlabeled and len(split.labeled) == 3


@pytest.mark.parametrize(
    "labels", [[1, 0, -1, 1], torch.tensor([1, 0, -1, 1]), np.array([1, 0, -1, 1], np.int8)]
)
def test_numbers_as_labels(labels: Any) -> None:
    data = as_dataset((COLOR[:4], labels), classes=("cat", "dog"))
    assert data.classes == ("cat", "dog") and data.train.labels.tolist() == [1, 0, -1, 1]


def test_minus_one_among_names_is_no_class() -> None:
    data = as_dataset((COLOR[:4], np.array(["cat", "dog", "cat", -1])))  # of which NumPy makes "-1"
    assert data.classes == ("cat", "dog") and data.train.labels.tolist() == [0, 1, 0, -1]


def test_one_image_in_color_is_not_taken_for_many_gray_ones() -> None:
    for image in (COLOR[0], COLOR[0].transpose(2, 0, 1)):
        with pytest.raises(UserError, match=r"looks like one image in color: give `images\[None\]`"):
            read_images(image, Form(16, 3, "cut"))


def test_names_that_are_numbers_are_in_their_order() -> None:
    data = as_dataset((COLOR, [str(number) for number in range(12)]))
    assert data.classes == tuple(map(str, range(12)))


def test_labels_of_the_unlabeled_part_are_ignored_with_a_note() -> None:
    data = as_dataset((COLOR[:6], LABELS[:6]), (COLOR[6:], LABELS[6:]))
    assert data.train.labels.tolist() == [*LABELS[:6].tolist(), *[-1] * 6]
    assert data.notes == ("the unlabeled images have labels, which are ignored",)


def test_normalization_may_be_given() -> None:
    data = as_dataset((COLOR, LABELS), mean=(0.1, 0.2, 0.3), std=(0.5,))
    augmentation = augmentation_of(data)
    assert augmentation.mean == (0.1, 0.2, 0.3) and augmentation.std == (0.5, 0.5, 0.5)
    gray = as_dataset((GRAY[:20], DIGITS.target[:20]), mean=(0.1, 0.2, 0.3))
    assert augmentation_of(gray).mean == pytest.approx((0.2,))
    with pytest.raises(UserError, match="std must have 3 values, one for each channel, got 2"):
        as_dataset((COLOR, LABELS), std=(0.5, 0.5))


def test_the_fingerprint_sees_every_pixel_and_the_test_part() -> None:
    def fingerprint(images: Any = COLOR, test: Any = None) -> str:
        return as_dataset((images, LABELS), test=test).fingerprint()

    changed = COLOR.copy()
    changed[7, 3, 5, 1] ^= 1
    assert fingerprint() == fingerprint(COLOR.copy()) != fingerprint(changed)
    assert fingerprint(test=(COLOR, LABELS)) != fingerprint(test=(changed, LABELS))


def data_of(values: Any) -> DataSet:
    return as_dataset((values, LABELS))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (COLOR.astype(np.int64), "labeled: expected images of uint8, or floats in .* got torch.int64"),
        (torch.zeros(12, 3, 8, 8, dtype=torch.int32), "labeled: expected images of uint8.* got torch.int32"),
        (COLOR > 3, "got bool"),
        (COLOR.astype(np.float32), "floats in .0, 1., got values from 0 to 255: give images before"),
        (COLOR / 255 - 0.5, r"got values from -0.5 to 0.5"),
        (np.where(COLOR > 200, np.nan, 0.5), "the images hold NaN"),
        (np.zeros((12, 8, 8, 4), np.uint8), r"expected images of shape .* got \(12, 8, 8, 4\)"),
        (np.zeros((12, 64), np.uint8), r"expected images of shape .* got \(12, 64\)"),
        (np.zeros((12, 0, 8), np.uint8), r"expected images of shape .* got \(12, 0, 8\)"),
        (np.zeros((0, 8, 8), np.uint8), "labeled: no image"),
        (COLOR[:5], "labeled: expected as many labels as images, got 12 and 5"),
    ],
)
def test_images_that_are_refused(values: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        data_of(values)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (
            LABELS.astype(float),
            "labeled: expected labels that are whole numbers or names, got 0.0 of type float",
        ),
        (LABELS > 0, "got False of type bool"),
        (np.eye(12), r"labeled: expected labels of shape \(N,\), got \(12, 12\)"),
        (LABELS - 2, "labeled: label -2 is out of range"),
        (LABELS * 2, "labeled: no image of class '1', '3', each class needs some: number the classes 0, 1"),
        ([0] * 12, "expected two or more classes, got '0' alone"),
        ([-1] * 12, "labeled: no image has a label"),
        ([0, "cat"] * 6, "labels that are all numbers or all names, got 0 and 'cat'"),
    ],
)
def test_labels_that_are_refused(labels: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        as_dataset((COLOR, labels))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"classes": ("a", "b")}, "labeled: label 2 is out of range, expected one of the 2 classes 'a', 'b'"),
        ({"classes": ("a", "b", "c", "d")}, "labeled: no image of class 'd'"),
        ({"classes": ("a", "b", "a")}, "classes must differ from each other"),
        ({"test": (COLOR[:2], [0, 3])}, "test: label 3 is out of range, expected one of the 3 classes"),
        ({"test": (COLOR[:2], ["y", "x"])}, "test holds 'y', 'x', which the training images do not"),
        ({"test": (COLOR[:2], [0, -1])}, "test: expected a label of each image, got 1 of 2 without"),
        ({"test": COLOR}, "test: expected images with labels, got images alone"),
        ({"test": (COLOR, LABELS, LABELS)}, r"test: expected arrays \(X, y\) or X alone, got 3"),
        ({"unlabeled": 7}, "unlabeled: expected a folder, .*a list of files or images .*a table .* got int"),
        ({"unlabeled": []}, "unlabeled: no image, expected some"),
        ({"image_size": 7}, "image_size must be at least 8, got 7"),
        ({"workers": -1}, "workers must not be negative"),
    ],
)
def test_what_does_not_fit_together(more: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        as_dataset((COLOR, LABELS), **more)


def test_labeled_images_need_labels() -> None:
    with pytest.raises(UserError, match="labeled: expected images with labels, got images alone"):
        as_dataset(COLOR)
