"""What to hand over instead of something that holds images in a form that is not read."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch import nn
from torch.utils.data import DataLoader, Dataset, Sampler

NAMED = 4
OTHERWISE = "for instance the path of a folder with one sub-folder per class, or (X, y)"


def instead_of(value: Any) -> str:
    """What to do, in words to stand behind a colon.

    Examples:
        >>> instead_of(DataLoader([1, 2]))
        'hand over its .dataset, for batches are drawn here'
    """
    if isinstance(value, type):
        return f"call it, {value.__name__}(...)"
    if isinstance(value, DataLoader):
        return "hand over its .dataset, for batches are drawn here"
    if isinstance(value, nn.Module):
        return "a network goes to `net`"
    if isinstance(value, Sampler):
        return "hand over the Dataset that it draws from"
    if isinstance(value, Mapping):
        names = ", ".join(map(str, list(value)[:NAMED]))
        return f"hand over one of its values ({names}), or two of them, (images, labels)"
    if isinstance(value, Iterable) and not isinstance(value, Sequence):
        return "list(...) of it, or a Dataset with positions, for images are asked for more than once"
    if isinstance(value, Dataset):
        return "a Dataset needs a length, give its class __len__"
    return OTHERWISE
