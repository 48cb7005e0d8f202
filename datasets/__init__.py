"""Data sets, splits and loaders. ``DATASETS`` is the registry: ``DATASETS[name](data_dir, **options)``.

Examples follow ``import torch``, ``from pathlib import Path`` and ``from ssl_mix.datasets import *``, in a
folder with ``train/cat/1.png`` and ``2.png``, ``train/dog/1.png`` and ``2.png``, ``unlabeled/1.png`` and
``2.png``, ``labels.txt`` and ``images.csv``.
"""

if __name__ != "ssl_mix.datasets":
    raise ImportError(f"this folder is the package ssl_mix.datasets, not {__name__!r}")

from ssl_mix.datasets.caltech_mini import load_caltech_mini  # noqa: E402
from ssl_mix.datasets.cifar import load_cifar, load_cifar10, load_cifar100  # noqa: E402
from ssl_mix.datasets.data import DataSet, ImageSet  # noqa: E402
from ssl_mix.datasets.decode import decode  # noqa: E402
from ssl_mix.datasets.decode_many import decode_all  # noqa: E402
from ssl_mix.datasets.digits import load_digits_data  # noqa: E402
from ssl_mix.datasets.fine_grained import FINE_GRAINED  # noqa: E402
from ssl_mix.datasets.folder import load_folder, load_two_folders  # noqa: E402
from ssl_mix.datasets.given import as_dataset, load_table  # noqa: E402
from ssl_mix.datasets.images import ImageSource, ResidentImages, StreamedImages  # noqa: E402
from ssl_mix.datasets.label_list import read_label_list  # noqa: E402
from ssl_mix.datasets.listing import list_images  # noqa: E402
from ssl_mix.datasets.own_images import load_own_images  # noqa: E402
from ssl_mix.datasets.registry import DATASETS  # noqa: E402
from ssl_mix.datasets.sampling import ShuffledIndex  # noqa: E402
from ssl_mix.datasets.splits import Split, choose_split  # noqa: E402
from ssl_mix.datasets.stl10 import load_stl10  # noqa: E402
from ssl_mix.datasets.svhn import load_svhn  # noqa: E402
from ssl_mix.datasets.tensors import tensor_data  # noqa: E402

__all__ = [
    "DATASETS",
    "FINE_GRAINED",
    "DataSet",
    "ImageSet",
    "ImageSource",
    "ResidentImages",
    "ShuffledIndex",
    "Split",
    "StreamedImages",
    "as_dataset",
    "choose_split",
    "decode",
    "decode_all",
    "list_images",
    "load_caltech_mini",
    "load_cifar",
    "load_cifar10",
    "load_cifar100",
    "load_digits_data",
    "load_folder",
    "load_own_images",
    "load_stl10",
    "load_svhn",
    "load_table",
    "load_two_folders",
    "read_label_list",
    "tensor_data",
]
