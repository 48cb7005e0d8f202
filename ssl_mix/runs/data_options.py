"""Which images a run learns from, as options: read them, choose the labels."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from ssl_mix.augment.pools import Variant
from ssl_mix.augment.views import Crop
from ssl_mix.datasets import (
    FINE_GRAINED,
    DataSet,
    Split,
    choose_split,
    load_cifar,
    load_digits_data,
    load_folder,
    load_stl10,
    load_svhn,
    load_two_folders,
    read_label_list,
)
from ssl_mix.datasets.decode import Fit
from ssl_mix.errors import UserError, check_choice, check_count, check_positive, check_share

FOLDER_SIZE, STL10_SIZE, FINE_GRAINED_SIZE = 32, 96, 224
Data = Literal[
    "digits",
    "cifar10",
    "cifar100",
    "svhn",
    "stl10",
    "cub200",
    "stanford-cars",
    "fgvc-aircraft",
    "oxford-pets",
    "oxford-flowers",
    "folder",
]
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """Which images to learn from, and how many of their labels may be used.

    Args:
        data: "digits" (inside scikit-learn), "cifar10", "cifar100", "svhn", "stl10", for fine-grained
            transfer "cub200", "stanford-cars", "fgvc-aircraft", "oxford-pets" and "oxford-flowers", or
            "folder" with --train. Not needed with --labeled.
        data_dir: where the files of data sets with names are, or go; of digits none are needed.
        download: fetch them if they are not there (nobody offers those of stanford-cars).
        extra: learn from the "extra" images of svhn too, as the published tables do.
        train: folder with one sub-folder of training images per class.
        test: folder with the same sub-folders of test images.
        labeled: folder with one sub-folder of labeled images per class; all of them are used as labeled.
            Alone it is the same as ``train``.
        unlabeled: folder of images without labels, flat or nested.
        labels: how many labels to use in all, the same number for each class; default: all.
        labels_per_class: how many labels to use for each class.
        label_rate: share of each class's labels to use, in (0, 1], rounded up: 0.15, 0.3 and 0.5 give the
            numbers of published lists.
        label_list: file that names the images whose labels to use, one path a line; a number behind it is
            ignored.
        include_labeled: let the unlabeled part hold the labeled images too, as the CIFAR benchmarks do.
        validation: share of the labeled images to hold out, in [0, 1).
        split_seed: of the choice of labeled images; default: the seed of the run.
        image_size: side in pixels that the images of folders (default: 32), of stl10 (default: 96, as in the
            published tables) and of data sets for fine-grained transfer (default: 224) have for the network;
            other data sets have a size of their own.
        stored_size: side in pixels at which images of folders and for fine-grained transfer are stored: the
            network is trained on random crops of them and evaluated on their center, as 224 out of 256 pixels
            is usual. Default: the image size.
        fit: how those become square: "cut" takes the central square, "squash" the whole image with its sides
            changed, as published codes of fine-grained transfer do.
        crop: of the weak view: "pad" shifts images by a few pixels (larger stored ones: takes a crop
            anywhere), "resized" resizes a random part as is usual for ImageNet; default: what the data set
            wants.
        randaugment: variant of the strong view: "torchssl" as in TorchSSL and USB, "kekmodel" as in
            FixMatch-pytorch, "google" as in FixMatch's own code, "self-tuning" as in that code; default: what
            the data set wants, "torchssl".
        mean: of each channel, in [0, 1], that normalization takes away; default: that with which pre-trained
            weights were trained, else that of the data set.
        std: deviation of each channel that normalization divides by; default: likewise.
        memory_gb: images that need more are read from the disk again and again; default: half of the free
            memory.
    """

    data: Data | None = None
    data_dir: str = "data"
    download: bool = False
    extra: bool = False
    train: str | None = None
    test: str | None = None
    labeled: str | None = None
    unlabeled: str | None = None
    labels: int | None = None
    labels_per_class: int | None = None
    label_rate: float | None = None
    label_list: str | None = None
    include_labeled: bool = False
    validation: float = 0.0
    split_seed: int | None = None
    image_size: int | None = None
    stored_size: int | None = None
    fit: Fit = "cut"
    crop: Crop | None = None
    randaugment: Variant | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    memory_gb: float | None = None

    def absolute(self) -> "DataOptions":
        """The same with absolute paths, so that a run can be resumed from anywhere."""
        paths = ("data_dir", "train", "test", "labeled", "unlabeled", "label_list")
        given = {name: value for name in paths if (value := getattr(self, name)) is not None}
        resolved: dict[str, Any] = {name: str(Path(value).absolute()) for name, value in given.items()}
        return dataclasses.replace(self, **resolved)

    def load(self, progress: Progress | None = None) -> DataSet:
        """Read the images.

        Raises:
            ValueError: options that contradict each other, or anything the loaders refuse.
        """
        self._check()
        data = self._read(progress)
        wanted = {"crop": self.crop, "variant": self.randaugment}
        given: dict[str, Any] = {name: value for name, value in wanted.items() if value is not None}
        channels = data.train.images.shape[0]
        for name in ("mean", "std"):
            if getattr(self, name) is not None:
                given[name] = _for_channels(channels, name, getattr(self, name))
        if self.stored_size not in (None, self._seen_size):
            given |= {"size": self._seen_size, "padding": 0}  # what is stored beside a crop makes it move
        return dataclasses.replace(data, augmentation=dataclasses.replace(data.augmentation, **given))

    def _read(self, progress: Progress | None) -> DataSet:
        budget = None if self.memory_gb is None else int(self.memory_gb * 2**30)
        test, data_dir = Path(self.test) if self.test else None, Path(self.data_dir)
        reading: dict[str, Any] = {
            "image_size": self.stored_size or self._seen_size,
            "fit": self.fit,
            "memory_budget": budget,
            "progress": progress,
        }
        if self.labeled and self.unlabeled:
            return load_two_folders(Path(self.labeled), Path(self.unlabeled), test, **reading)
        if folder := self.train or self.labeled:
            return load_folder(Path(folder), test, **reading)
        if self.data == "digits":
            return load_digits_data()
        if self.data == "svhn":
            return load_svhn(data_dir, download=self.download, extra=self.extra)
        if self.data == "stl10":
            return load_stl10(data_dir, download=self.download, image_size=self.image_size or STL10_SIZE)
        if self.data in FINE_GRAINED:
            return FINE_GRAINED[self.data](data_dir, download=self.download, **reading)
        assert self.data in ("cifar10", "cifar100")
        return load_cifar(self.data, data_dir, download=self.download)

    @property
    def in_files(self) -> bool:
        """Whether each image is a file of its own, so that it can be stored at any size."""
        return self.data in (None, "folder", *FINE_GRAINED)

    @property
    def _seen_size(self) -> int:
        """Side of what the network sees of images in files."""
        return self.image_size or (FINE_GRAINED_SIZE if self.data in FINE_GRAINED else FOLDER_SIZE)

    def _check_sizes(self) -> None:
        for value in self.mean or ():
            check_share("mean", value)
        for value in self.std or ():
            check_positive("std", value)
        for name in ("image_size", "stored_size"):
            if getattr(self, name) is not None:
                check_count(name, getattr(self, name))
        check_choice("fit", self.fit, get_args(Fit))
        # Runs of before stored the size of folders for every data set.
        if self.image_size not in (None, FOLDER_SIZE) and not self.in_files and self.data != "stl10":
            raise UserError(
                f"--image-size is for folders of images, those of --data {self.data} have a size of their "
                "own "
                "(of stl10 and those for fine-grained transfer it can be chosen too)"
            )
        if not self.in_files and (self.stored_size is not None or self.fit != "cut"):
            raise UserError(
                "--stored-size and --fit are for folders of images and data sets for fine-grained transfer, "
                f"not for --data {self.data}"
            )
        if self.stored_size is not None and self.stored_size < self._seen_size:
            raise UserError(
                f"--stored-size {self.stored_size} is below --image-size {self._seen_size}: "
                "the network sees crops of what is stored"
            )

    def _check(self) -> None:
        if self.data is not None:
            check_choice("data", self.data, get_args(Data))
        if self.crop is not None:
            check_choice("crop", self.crop, get_args(Crop))
        if self.randaugment is not None:
            check_choice("randaugment", self.randaugment, get_args(Variant))
        self._check_sizes()
        if self.memory_gb is not None:
            check_positive("memory_gb", self.memory_gb)
        if self.unlabeled and not self.labeled:
            raise UserError("--unlabeled needs --labeled beside it: one folder with labels and one without")
        if self.labeled and (self.train or self.data not in (None, "folder")):
            raise UserError(
                "give either --labeled and --unlabeled, or --data (with --train for a folder), not both"
            )
        if self.train and self.data not in (None, "folder"):
            raise UserError(f"--train goes with --data folder, got --data {self.data}")
        if self.test and self.data not in (None, "folder"):
            raise UserError(f"--data {self.data} has a test part of its own: leave out --test")
        if self.extra and self.data != "svhn":
            raise UserError("--extra goes with --data svhn alone: no other data set has extra images")
        if self.data == "folder" and not (self.train or self.labeled):
            raise UserError("--data folder needs --train DIR with one sub-folder of images per class")
        if not (self.data or self.train or self.labeled):
            raise UserError(
                "nothing to learn from: give --data digits, --data cifar10, --data folder --train DIR, "
                "or --labeled DIR --unlabeled DIR"
            )

    def check_test_is_apart(self) -> None:
        """Raise where test images are those that are learned from."""
        for name in ("train", "labeled"):
            folder = getattr(self, name)
            if self.test and folder and Path(self.test).resolve() == Path(folder).resolve():
                raise UserError(
                    f"--test and --{name} name the same folder: accuracy on images that were learned from "
                    "says nothing. "
                    "Give others, or leave out --test"
                )

    def choose_split(self, data: DataSet, seed: int) -> Split:
        """The labeled, held-out and unlabeled images.

        Raises:
            ValueError: the numbers, the share and the list of labels contradict each other or the data.
        """
        listed = None if self.label_list is None else read_label_list(Path(self.label_list), data)
        return choose_split(
            data.train.labels,
            len(data.classes),
            labels_total=self.labels,
            per_class=self.labels_per_class,
            rate=self.label_rate,
            listed=listed,
            seed=seed if self.split_seed is None else self.split_seed,
            validation=self.validation,
            include_labeled=self.include_labeled,
            classes=data.classes,
        )


def _for_channels(channels: int, name: str, values: Sequence[float]) -> tuple[float, ...]:
    """Normalization for as many channels as the images have; gray ones are seen as images in color with equal
    channels."""
    if channels == 1:
        return (sum(values) / len(values),)
    if len(values) not in (1, channels):
        raise UserError(f"{name} must have {channels} values, one for each channel, got {len(values)}")
    return tuple(float(value) for value in values) * (channels // len(values))
