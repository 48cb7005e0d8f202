"""Datasets of PyTorch: what their items are, and what a first look at all of them tells."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from PIL import Image
from torch.utils.data import Dataset

from ssl_mix.datasets.class_names import Label, plain_label
from ssl_mix.datasets.decode import Scaled, reason, upright
from ssl_mix.datasets.decode_many import CHUNK, Progress
from ssl_mix.datasets.images import in_workers
from ssl_mix.datasets.originals import Items
from ssl_mix.datasets.own_views import seeded
from ssl_mix.datasets.pixels import as_original, is_gray, size_of
from ssl_mix.errors import UserError, counts_of

TWICE = 8  # items that are asked for again, each with other random numbers
EXPECTED = "a torch.utils.data.Dataset of (image, label), or of images alone, with a length"


class Seen(NamedTuple):
    """What is known of a Dataset.

    Attributes:
        images: of it.
        labels: of each, or None where items are images alone.
        gray: whether all are.
        classes: names that the Dataset has for its whole-numbered labels, or None.
        scaled: how many Pillow images had samples of more than 8 bits, by how those were scaled.
    """

    images: Items
    labels: list[Label] | None
    gray: bool
    classes: tuple[str, ...] | None
    scaled: Mapping[Scaled, int]


def is_dataset(value: Any) -> bool:
    """Whether it has items by position and a length."""
    others = isinstance(value, Mapping | bytes | bytearray | type)
    return not others and hasattr(value, "__getitem__") and hasattr(value, "__len__")


def look_at(dataset: Any, where: str, *, workers: int, progress: Progress | None) -> Seen:
    """Ask for every item once: its label, its size, and whether it is what is expected.

    Args:
        dataset: items by position, the same whenever they are asked for.
        where: which part it is, for messages.
        workers: processes.
        progress: told how far it is.

    Raises:
        ValueError: it is empty, an item cannot be read, is no image and no (image, label), or is another one
            when it is asked for again.
    """
    if not len(dataset):
        raise UserError(f"{where}: no image, expected some")
    positions = list(range(len(dataset)))
    chunks = [positions[start : start + CHUNK] for start in positions[::CHUNK]]
    items: list[_Item] = []
    for batch in in_workers(_Items(dataset, where), chunks, list, workers):
        items += batch
        failure = next((item.failure for item in batch if item.failure is not None), None)
        if failure is not None:
            raise UserError(failure)
        if progress is not None:
            progress(f"looking at {where} images", len(items), len(dataset))
    _check_repeats(dataset, where)
    labeled = sum(item.has_label for item in items)
    if labeled not in (0, len(items)):
        raise UserError(
            f"{where}: expected {EXPECTED}, got {labeled} of {counts_of(len(items), 'item')} with a label"
        )
    images = Items(_Image(dataset), [item.size for item in items], workers=workers)
    labels = [item.label for item in items] if labeled else None
    scaled = Counter(item.scaled for item in items if item.scaled is not None)
    return Seen(images, labels, all(item.gray for item in items), _classes(dataset), scaled)


class _Item(NamedTuple):
    failure: str | None
    has_label: bool = False
    label: Label = None
    size: tuple[int, int] = (0, 0)
    gray: bool = False
    scaled: Scaled | None = None


class _Items(Dataset[_Item]):
    def __init__(self, dataset: Any, where: str) -> None:
        self.dataset, self.where = dataset, where

    def __getitem__(self, position: int) -> _Item:
        where = f"{self.where}, item {position}"
        try:
            item = self.dataset[position]
        except Exception as error:  # whatever the user's code raises
            return _Item(f"{where}: cannot be read: {type(error).__name__}: {reason(error)}")
        try:
            image, *labels = _parts(item)
            if len(labels) > 1:
                raise UserError(
                    f"{where}: expected {EXPECTED}, got {counts_of(len(item), 'value')} in an item"
                )
            original = as_original(image, where)
            label = plain_label(labels[0], where) if labels else None
            scaled = upright(image).scaled if isinstance(image, Image.Image) else None
            return _Item(None, bool(labels), label, size_of(original), is_gray(original), scaled)
        except UserError as error:
            return _Item(str(error))


def _check_repeats(dataset: Any, where: str) -> None:
    """Raise where a Dataset draws at random: its images would be drawn once, and the test part's too."""
    image_of = _Image(dataset)
    for position in range(min(TWICE, len(dataset))):
        found = []
        for seed in (2 * position, 2 * position + 1):
            with seeded(seed):
                found.append(_bytes_of(image_of(position), where))
        if found[0] != found[1]:
            raise UserError(
                f"{where}, item {position}: is another image when it is asked for again: take the random "
                "transforms out of the Dataset, and pass them as `weak` or `strong` where training shall draw"
            )


def _bytes_of(image: Any, where: str) -> tuple[Any, bytes]:
    original = as_original(image, where)
    if isinstance(original, Image.Image):
        return original.size, original.tobytes()
    return tuple(original.shape), original.numpy().tobytes()


class _Image:
    """The image of an item."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __call__(self, position: int) -> Any:
        return _parts(self.dataset[position])[0]


def _parts(item: Any) -> Sequence[Any]:
    """The image of an item, and its label where it has one: a sequence, or a mapping with "image" and
    "label", as those of Hugging Face."""
    if isinstance(item, Mapping) and "image" in item:
        return [item[name] for name in ("image", "label") if name in item]
    return item if isinstance(item, tuple | list) else (item,)


def _classes(dataset: Any) -> tuple[str, ...] | None:
    """The names in ``dataset.classes``, or of what it is a subset of."""
    while dataset is not None:
        names = getattr(dataset, "classes", None)
        if isinstance(names, Sequence) and names and all(isinstance(name, str) for name in names):
            return tuple(names)
        dataset = getattr(dataset, "dataset", None)
    return None
