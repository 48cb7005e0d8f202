"""The registry of data sets, and which options each of them takes."""

import inspect
from collections.abc import Callable, Mapping

from ssl_mix.datasets.caltech_mini import load_caltech_mini
from ssl_mix.datasets.cifar import load_cifar10, load_cifar100
from ssl_mix.datasets.data import DataSet
from ssl_mix.datasets.digits import load_digits_data
from ssl_mix.datasets.fine_grained import FINE_GRAINED
from ssl_mix.datasets.own_images import load_own_images
from ssl_mix.datasets.stl10 import load_stl10
from ssl_mix.datasets.svhn import load_svhn
from ssl_mix.errors import UserError, check_choice

# Each is called with the folder for data and, by name, those of the options that its signature has.
DATASETS: dict[str, Callable[..., DataSet]] = {
    "digits": load_digits_data,
    "caltech-mini": load_caltech_mini,
    "cifar10": load_cifar10,
    "cifar100": load_cifar100,
    "svhn": load_svhn,
    "stl10": load_stl10,
    **FINE_GRAINED,
    "folder": load_own_images,
}


def takes(name: str, option: str) -> bool:
    """Whether the loader of the data set ``name`` has an argument ``option``.

    Raises:
        ValueError: there is no such data set.
    """
    check_choice("data", name, DATASETS)
    return option in inspect.signature(DATASETS[name]).parameters


def default_of(name: str, option: str) -> object:
    """What the loader of ``name`` takes for ``option`` where it is not given.

    Raises:
        KeyError: it has no such argument.
    """
    return inspect.signature(DATASETS[name]).parameters[option].default


def check_taken(name: str, options: Mapping[str, str]) -> None:
    """Raise unless the data set ``name`` takes all ``options``; the message says which data sets do.

    Args:
        name: of the data set.
        options: the argument of the loader that each option of the user becomes.
    """
    for option, argument in options.items():
        if not takes(name, argument):
            others = ", ".join(other for other in DATASETS if takes(other, argument))
            raise UserError(f"`data={name}` takes no `{option}`, only these do: {others}")
