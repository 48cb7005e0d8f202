"""Which images a run learns from, as options: read them, choose the labels."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from ssl_mix.augment.pools import Variant
from ssl_mix.augment.views import Crop, Policy
from ssl_mix.datasets import DATASETS, DataSet, Split, choose_split, read_label_list
from ssl_mix.datasets.copies import Drop
from ssl_mix.datasets.decode import Fit
from ssl_mix.datasets.huggingface_data import PREFIX
from ssl_mix.datasets.pixel_statistics import for_channels
from ssl_mix.datasets.registry import check_taken, default_of, takes
from ssl_mix.datasets.unknown_classes import with_unknown_classes
from ssl_mix.errors import (
    UserError,
    check_choice,
    check_count,
    check_not_negative,
    check_positive,
    check_seed,
    check_share,
)
from ssl_mix.runs.places import check_outside

OWN = "folder"
PATHS = ("train", "test", "labeled", "unlabeled", "table")
SIZING = ("image_size", "test_image_size", "stored_size", "fit")
LOADING = (*PATHS, *SIZING, "download", "extra", "memory_gb", "drop_copies", "cache_images", "workers")
# Of loaders, where they are named otherwise.
ARGUMENTS = {"test_image_size": "fit", "stored_size": "fit", "memory_gb": "memory_budget"}
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """Which images to learn from, and how many of their labels may be used.

    Args:
        data: a name of the registry (``ssl-mix list`` shows them): "digits" (inside scikit-learn),
            "caltech-mini" (photographs inside this package), "cifar10", "cub200", ..., or "folder" for images
            of your own. Not needed with ``train``, ``labeled`` or ``table``.
        data_dir: where the files of data sets with names are, or go; of digits none are needed. With "folder"
            and no ``train``, it holds the sub-folders ``train`` and ``test``.
        download: fetch them if they are not there (nobody offers those of stanford-cars).
        extra: learn from the "extra" images of svhn too, as the published tables do.
        train: folder with one sub-folder of training images per class; or tar archives in the naming of
            WebDataset (KEY.jpg, KEY.cls): a folder, a file or a pattern; or hf:NAME for a data set of Hugging
            Face: a folder or one of the hub. The same for ``test``, ``labeled`` and ``unlabeled``.
        test: folder with the same sub-folders of test images; with ``table``, maybe another table.
        labeled: folder with one sub-folder of labeled images per class; all of them are used as labeled.
            Alone it is the same as ``train``.
        unlabeled: folder of images without labels, flat or nested.
        table: file.csv or file.tsv with the columns "file" and "label": paths, relative to its folder, and
            the names of classes; images without a label are unlabeled.
        labels: how many labels to use in all, the same number for each class; default: all.
        labels_per_class: how many labels to use for each class.
        label_rate: share of each class's labels to use, in (0, 1], rounded up: 0.15, 0.3 and 0.5 give the
            numbers of published lists.
        label_list: file that names the images whose labels to use, one path a line; a number behind it is
            ignored.
        imbalance: use the labels of a long tail: the commonest class, the first, has this many times as many
            as the rarest, the last, and numbers fall exponentially in between. `labels_per_class` are then
            those of the commonest.
        imbalance_unlabeled: leave unlabeled images out so that they have a long tail too, of this ratio; -100
            is one of 100 in which the last class is the commonest.
        unlabeled_per_class: unlabeled images of the commonest class; default: as many as there are.
        unknown_classes: let the last so many classes be ones that nobody has labeled: their images stay among
            the unlabeled ones, and none is in the test part.
        include_labeled: let the unlabeled part hold the labeled images too, as the CIFAR benchmarks do.
        validation: share of the labeled images to hold out, in [0, 1).
        split_seed: of the choice of labeled images; default: the seed of the run.
        image_size: side in pixels that the images of folders (default: 32), of stl10 (default: 96, as in the
            published tables) and of data sets for fine-grained transfer (default: 224) have for the network;
            other data sets have a size of their own.
        test_image_size: side in pixels of what an evaluation sees of images that are files, for networks that
            take images of any size: what a random resized crop shows is larger than in the whole image, so
            that a network trained at 160 pixels may do better at 224. Default: the image size.
        stored_size: side in pixels at which images of folders and for fine-grained transfer are stored: the
            network is trained on random crops of them and evaluated on their center, as 224 out of 256 pixels
            is usual. Default: the image size, or that of evaluations where it is larger.
        fit: how those become square: "cut" takes the central square, "squash" the whole image with its sides
            changed, as published codes of fine-grained transfer do.
        crop: of the weak view: "pad" shifts images by a few pixels (larger stored ones: takes a crop
            anywhere), "resized" resizes a random part as is usual for ImageNet; default: what the data set
            wants.
        augment: policy of the strong view: "randaugment"; "ctaugment", RandAugment whose strengths are
            learned from labeled images; "trivial", TrivialAugment, one operation of any strength; "augmix",
            blends with chains of operations, without Cutout. Default: what the data set wants, "randaugment".
        randaugment: variant of the strong view: "torchssl" as in TorchSSL and USB, "kekmodel" as in
            FixMatch-pytorch, "google" as in FixMatch's own code, "self-tuning" as in that code; "rand-m9" as
            in timm's and DeiT's recipes, "rand-m7", "rand-m6" weaker ones; default: what the data set wants,
            "torchssl".
        mean: of each channel, in [0, 1], that normalization takes away; default: that with which pre-trained
            weights were trained, else that of the data set.
        std: deviation of each channel that normalization divides by; default: likewise.
        memory_gb: images that need more are read from the disk again and again; default: half of the free
            memory.
        drop_copies: leave images of yours out of training that are test images too or in two classes, and all
            but one of several copies: "exact" by the bytes of their files, "near" by what they look like
            (needs imagehash: pip install 'ssl-mix[copies]').
        cache_images: folder on a fast disk for the decoded images of files, archives and tables: they
            are decoded once, and later runs with the same files read them there. The size is told before.
        workers: processes that read images which are not kept in memory; default: one per processor, up to 8.
    """

    data: str | None = None
    data_dir: str = "data"
    download: bool = False
    extra: bool = False
    train: str | None = None
    test: str | None = None
    labeled: str | None = None
    unlabeled: str | None = None
    table: str | None = None
    labels: int | None = None
    labels_per_class: int | None = None
    label_rate: float | None = None
    label_list: str | None = None
    imbalance: float | None = None
    imbalance_unlabeled: float | None = None
    unlabeled_per_class: int | None = None
    unknown_classes: int = 0
    include_labeled: bool = False
    validation: float = 0.0
    split_seed: int | None = None
    image_size: int | None = None
    test_image_size: int | None = None
    stored_size: int | None = None
    fit: Fit = "cut"
    crop: Crop | None = None
    augment: Policy | None = None
    randaugment: Variant | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    memory_gb: float | None = None
    drop_copies: Drop = "none"
    cache_images: str | None = None
    workers: int | None = None

    def __post_init__(self) -> None:
        check_seed("split_seed", 0 if self.split_seed is None else self.split_seed)

    def absolute(self) -> "DataOptions":
        """The same with absolute paths, so that a run can be resumed from anywhere."""
        paths = ("data_dir", *PATHS, "label_list", "cache_images")
        given = {name: value for name in paths if (value := getattr(self, name)) is not None}
        resolved: dict[str, Any] = {name: absolute(value) for name, value in given.items()}
        return dataclasses.replace(self, **resolved)

    def load(self, progress: Progress | None = None) -> DataSet:
        """Read the images.

        Raises:
            ValueError: options that contradict each other, or anything the loaders refuse.
        """
        self.check()
        return self.adjust(DATASETS[self.source](Path(self.data_dir), **self._keywords(progress)))

    def adjust(self, data: DataSet) -> DataSet:
        """The data with the normalization, the augmentation and the classes that the options ask for."""
        self._check_tested(data.train.images.shape[-1])
        wanted: dict[str, Any] = {"crop": self.crop, "policy": self.augment, "variant": self.randaugment}
        wanted["test_size"] = self.test_image_size
        given: dict[str, Any] = {name: value for name, value in wanted.items() if value is not None}
        channels = data.train.images.shape[0]
        for name in ("mean", "std"):
            if getattr(self, name) is not None:
                given[name] = for_channels(channels, name, getattr(self, name))
        if self._side is not None and self._side != self.seen_size:
            given |= {"size": self.seen_size, "padding": 0}  # what is stored beside a crop makes it move
        if not given:
            return with_unknown_classes(data, self.unknown_classes)
        altered = dataclasses.replace(data, augmentation=dataclasses.replace(data.of_pixels, **given))
        return with_unknown_classes(altered, self.unknown_classes)

    @property
    def source(self) -> str:
        """Name in the registry; "folder" for images of your own."""
        return self.data or OWN

    @property
    def folders(self) -> dict[str, str]:
        """Folders and files of the images of one's own, by option."""
        return {name: value for name in PATHS if (value := getattr(self, name))}

    @property
    def in_files(self) -> bool:
        """Whether each image is a file of its own, so that it can be stored at any size."""
        return takes(self.source, "fit")

    def _given(self) -> dict[str, Any]:
        """The options for the loader that differ from their defaults."""
        given = {name: value for name in LOADING if (value := getattr(self, name)) != _DEFAULTS[name]}
        return given | {name: Path(given[name]) for name in (*PATHS, "cache_images") if name in given}

    def _keywords(self, progress: Progress | None) -> dict[str, Any]:
        given = self._given()
        for name in ("stored_size", "test_image_size"):
            given.pop(name, None)
        if self._side is not None:
            given["image_size"] = self._side
        if (memory := given.pop("memory_gb", None)) is not None:
            given["memory_budget"] = int(memory * 2**30)
        return given | ({"progress": progress} if takes(self.source, "progress") else {})

    @property
    def seen_size(self) -> Any:
        """Side of what the network sees of images in files."""
        return self.image_size or default_of(self.source, "image_size")

    @property
    def _side(self) -> Any:
        """Side of images in files as they are stored; None for what the network sees."""
        if self.stored_size is not None or self.test_image_size is None or not self.in_files:
            return self.stored_size
        return max(self.test_image_size, self.seen_size)

    def _check_tested(self, stored: int | None) -> None:
        if stored is not None and (self.test_image_size or 0) > stored:
            raise UserError(
                f"`test_image_size` {self.test_image_size} exceeds the {stored} pixels at which images are "
                "stored: store them larger, or test on less"
            )

    def _check_sizes(self) -> None:
        for name in ("mean", "std"):
            if getattr(self, name) == ():
                raise UserError(f"`{name}` must be one number, or one for each channel, got none")
        for value in self.mean or ():
            check_share("mean", value)
        for value in self.std or ():
            check_positive("std", value)
        for name in ("image_size", "test_image_size", "stored_size"):
            if getattr(self, name) is not None:
                check_count(name, getattr(self, name))
        check_choice("fit", self.fit, get_args(Fit))
        if self.memory_gb is not None:
            check_positive("memory_gb", self.memory_gb)
        check_not_negative("workers", self.workers or 0)
        if self.stored_size is not None and self.in_files and self.stored_size < self.seen_size:
            raise UserError(
                f"`stored_size` {self.stored_size} is below `image_size` {self.seen_size}: "
                "the network sees crops of what is stored"
            )
        self._check_tested(self._side)

    def check(self) -> None:
        """Raise where options contradict each other or are out of range; no image is looked at."""
        if not (self.data or self.folders):
            raise UserError(
                "nothing to learn from: give `data=digits`, `data=cifar10`, `train=DIR`, `labeled=DIR` and "
                "`unlabeled=DIR`, or `table=FILE`"
            )
        check_choice("data", self.source, DATASETS)
        for name, known in (("crop", Crop), ("augment", Policy), ("randaugment", Variant)):
            if getattr(self, name) is not None:
                check_choice(name, getattr(self, name), get_args(known))
        self._check_sizes()
        check_taken(self.source, {name: ARGUMENTS.get(name, name) for name in self._given()})
        check_choice("drop_copies", self.drop_copies, get_args(Drop))
        if self.cache_images is not None:
            check_outside(self.folders, self.cache_images, "cache_images")

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
            imbalance=self.imbalance,
            imbalance_unlabeled=self.imbalance_unlabeled,
            unlabeled_per_class=self.unlabeled_per_class,
            foreign=data.train.foreign,
            seed=seed if self.split_seed is None else self.split_seed,
            validation=self.validation,
            include_labeled=self.include_labeled,
            classes=data.classes,
        )


def absolute(path: str) -> str:
    """An absolute path; a name of Hugging Face's hub as it is."""
    prefix, place = (PREFIX, path[len(PREFIX) :]) if path.startswith(PREFIX) else ("", path)
    folder = place.partition("@")[0] if prefix else place
    return path if prefix and not Path(folder).exists() else prefix + str(Path(place).absolute())


_DEFAULTS = {field.name: field.default for field in dataclasses.fields(DataOptions)}
