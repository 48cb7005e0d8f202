"""A run as a value: what to learn from, which network, which algorithm, how to train; and back from its ``config.json``."""

import dataclasses
import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

import torch
import torchvision

from ssl_mix._version import __version__
from ssl_mix.algorithm import Algorithm
from ssl_mix.algorithms import ALGORITHMS
from ssl_mix.augment.pools import Variant
from ssl_mix.augment.views import Crop
from ssl_mix.datasets import (
    DataSet,
    Split,
    choose_split,
    load_cifar,
    load_digits_data,
    load_folder,
    load_stl10,
    load_svhn,
    load_two_folders,
)
from ssl_mix.engine.config import TrainConfig
from ssl_mix.engine.trainer import Trainer
from ssl_mix.errors import UserError, check_choice, check_count, check_positive
from ssl_mix.net_options import NetOptions

FORMAT = "ssl-mix run 1"
FOLDER_SIZE, STL10_SIZE = 32, 96
Data = Literal["digits", "cifar10", "cifar100", "svhn", "stl10", "folder"]
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """Which pictures to learn from, and how many of their labels may be used.

    Args:
        data: "digits" (inside scikit-learn), "cifar10", "cifar100", "svhn", "stl10", or "folder" with --train. Not needed
            with --labeled.
        data_dir: where the files of cifar10, cifar100, svhn and stl10 are, or go.
        download: fetch them if they are not there.
        extra: learn from the "extra" pictures of svhn too, as the published tables do.
        train: folder with one sub-folder of training pictures per class.
        test: folder with the same sub-folders of test pictures.
        labeled: folder with one sub-folder of labelled pictures per class; all of them are used as labelled.
        unlabeled: folder of pictures without labels, flat or nested.
        labels: how many labels to use in all, the same number for each class; default: all.
        labels_per_class: how many labels to use for each class.
        include_labeled: let the unlabelled part hold the labelled pictures too, as the CIFAR benchmarks do.
        validation: share of the labelled pictures to hold out, in [0, 1).
        split_seed: of the choice of labelled pictures; default: the seed of the run.
        image_size: side in pixels that the pictures of folders (default: 32) and of stl10 (default: 96, as in the published tables)
            are resized to; other data sets have a size of their own.
        crop: of the weak view: "pad" shifts pictures by a few pixels, "resized" enlarges a random part as is usual for ImageNet;
            default: what the data set wants.
        randaugment: variant of the strong view: "torchssl" as in TorchSSL and USB, "kekmodel" as in FixMatch-pytorch, "google" as in
            FixMatch's own code; default: what the data set wants, "torchssl".
        memory_gb: pictures that need more are read from the disk again and again; default: half of the free memory.
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
    include_labeled: bool = False
    validation: float = 0.0
    split_seed: int | None = None
    image_size: int | None = None
    crop: Crop | None = None
    randaugment: Variant | None = None
    memory_gb: float | None = None

    def absolute(self) -> "DataOptions":
        """The same with absolute paths, so that a run can be resumed from anywhere."""
        paths = ("data_dir", "train", "test", "labeled", "unlabeled")
        given = {name: value for name in paths if (value := getattr(self, name)) is not None}
        resolved: dict[str, Any] = {name: str(Path(value).absolute()) for name, value in given.items()}
        return dataclasses.replace(self, **resolved)

    def load(self, progress: Progress | None = None) -> DataSet:
        """Read the pictures.

        Raises:
            ValueError: options that contradict each other, or anything the loaders refuse.
        """
        self._check()
        data = self._read(progress)
        wanted = {"crop": self.crop, "variant": self.randaugment}
        given: dict[str, Any] = {name: value for name, value in wanted.items() if value is not None}
        return dataclasses.replace(data, augmentation=dataclasses.replace(data.augmentation, **given))

    def _read(self, progress: Progress | None) -> DataSet:
        budget = None if self.memory_gb is None else int(self.memory_gb * 2**30)
        test, data_dir, size = Path(self.test) if self.test else None, Path(self.data_dir), self.image_size
        if self.labeled and self.unlabeled:
            return load_two_folders(
                Path(self.labeled),
                Path(self.unlabeled),
                test,
                image_size=size or FOLDER_SIZE,
                memory_budget=budget,
                progress=progress,
            )
        if self.train:
            return load_folder(
                Path(self.train),
                test,
                image_size=size or FOLDER_SIZE,
                memory_budget=budget,
                progress=progress,
            )
        if self.data == "digits":
            return load_digits_data()
        if self.data == "svhn":
            return load_svhn(data_dir, download=self.download, extra=self.extra)
        if self.data == "stl10":
            return load_stl10(data_dir, download=self.download, image_size=size or STL10_SIZE)
        assert self.data in ("cifar10", "cifar100")
        return load_cifar(self.data, data_dir, download=self.download)

    def _check(self) -> None:
        if self.data is not None:
            check_choice("data", self.data, get_args(Data))
        if self.crop is not None:
            check_choice("crop", self.crop, get_args(Crop))
        if self.randaugment is not None:
            check_choice("randaugment", self.randaugment, get_args(Variant))
        if self.image_size is not None:
            check_count("image_size", self.image_size)
        if self.memory_gb is not None:
            check_positive("memory_gb", self.memory_gb)
        if bool(self.labeled) != bool(self.unlabeled):
            given, missing = ("labeled", "unlabeled") if self.labeled else ("unlabeled", "labeled")
            raise UserError(f"--{given} needs --{missing} beside it: one folder with labels and one without")
        if self.labeled and (self.train or self.data not in (None, "folder")):
            raise UserError(
                "give either --labeled and --unlabeled, or --data (with --train for a folder), not both"
            )
        if self.train and self.data not in (None, "folder"):
            raise UserError(f"--train goes with --data folder, got --data {self.data}")
        if self.test and self.data not in (None, "folder"):
            raise UserError(f"--data {self.data} has a test part of its own: leave out --test")
        # Runs of before stored the size of folders for every data set.
        if self.image_size not in (None, FOLDER_SIZE) and self.data not in (None, "folder", "stl10"):
            raise UserError(
                f"--image-size is for folders of pictures, those of --data {self.data} have a size of their own "
                "(of stl10 it can be chosen too)"
            )
        if self.extra and self.data != "svhn":
            raise UserError("--extra goes with --data svhn alone: no other data set has extra pictures")
        if self.data == "folder" and not (self.train or self.labeled):
            raise UserError("--data folder needs --train DIR with one sub-folder of pictures per class")
        if not (self.data or self.train or self.labeled):
            raise UserError(
                "nothing to learn from: give --data digits, --data cifar10, --data folder --train DIR, "
                "or --labeled DIR --unlabeled DIR"
            )

    def choose_split(self, data: DataSet, seed: int) -> Split:
        """The labelled, held-out and unlabelled pictures."""
        return choose_split(
            data.train.labels,
            len(data.classes),
            labels_total=self.labels,
            per_class=self.labels_per_class,
            seed=seed if self.split_seed is None else self.split_seed,
            validation=self.validation,
            include_labeled=self.include_labeled,
            classes=data.classes,
        )


@dataclass(frozen=True)
class Run:
    """Everything that defines a run."""

    algorithm: Algorithm
    data: DataOptions
    net: NetOptions = NetOptions()
    config: TrainConfig = TrainConfig()

    def trainer(self, data: DataSet, split: Split) -> Trainer:
        """A trainer at step 0."""
        net = self.net.build(data.train.images.shape, len(data.classes), self.config.seed)
        return Trainer(self.algorithm, net, data, split, self.config)

    def describe(self, data: DataSet, split: Split) -> dict[str, Any]:
        """The content of ``config.json``."""
        names = {cls: name for name, cls in ALGORITHMS.items()}
        if type(self.algorithm) not in names:
            raise UserError(
                f"{type(self.algorithm).__name__} is not in ALGORITHMS: register it, or use Trainer itself"
            )
        return {
            "format": FORMAT,
            "algorithm": {"name": names[type(self.algorithm)], **_plain(self.algorithm.hyperparameters())},
            "data": dataclasses.asdict(self.data),
            "net": dataclasses.asdict(self.net.resolved()),
            "train": dataclasses.asdict(self.config),
            "dataset": {
                "name": data.name,
                "classes": list(data.classes),
                "image_shape": list(data.train.images.shape),
                "augmentation": dataclasses.asdict(data.augmentation),
                "fingerprint": data.fingerprint(),
                "split_sha256": split.sha256,
            },
            "versions": {
                "ssl_mix": __version__,
                "torch": torch.__version__,
                "torchvision": torchvision.__version__,
                "python": platform.python_version(),
            },
            "command": sys.argv,
        }

    @classmethod
    def from_description(cls, description: dict[str, Any]) -> "Run":
        """The run behind a ``config.json``."""
        if description.get("format") != FORMAT:
            raise UserError(
                f"expected a run (config of format {FORMAT!r}), found {description.get('format')!r}; "
                "a demo's runs are the folders inside it"
            )
        keywords = dict(description["algorithm"])
        algorithm = ALGORITHMS[keywords.pop("name")]
        hints = get_type_hints(algorithm.__init__)
        for name, value in keywords.items():
            if dataclasses.is_dataclass(hints[name]):
                keywords[name] = hints[name](**value)
        return cls(
            algorithm(**keywords),
            DataOptions(**description["data"]),
            NetOptions(**description["net"]),
            TrainConfig(**description["train"]),
        )


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {k: dataclasses.asdict(v) if dataclasses.is_dataclass(v) else v for k, v in values.items()}  # type: ignore[arg-type]
