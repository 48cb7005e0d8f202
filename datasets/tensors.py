"""Anything but images: signals (N, C, T), token ids (N, L), vectors (N, D), as a data set."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ssl_mix.augment.views import kind_of
from ssl_mix.datasets.class_names import class_numbers, find_classes, plain_labels
from ssl_mix.datasets.data import UNKNOWN, DataSet, ImageSet
from ssl_mix.datasets.images import ResidentImages
from ssl_mix.errors import UserError, check_kinds

Alter = Callable[[Tensor, torch.Generator], Tensor]  # of a batch, on its device
KINDS = ("weak", "medium", "strong")


class ResidentTensors(ResidentImages):
    """Tensors of any shape and kind of number, in the place of images.

    Args:
        tensors: (N, ...), float or whole numbers; floats become float32, whole numbers int64.

    Raises:
        ValueError: they are none.
    """

    def __init__(self, tensors: Any) -> None:
        try:
            found = torch.as_tensor(tensors).detach()
        except (RuntimeError, TypeError, ValueError) as error:
            raise UserError(
                f"expected numbers (N, ...) in one tensor or array, got {type(tensors).__name__} ({error}): "
                "torch.stack joins tensors of one shape, and those of a TensorDataset are its .tensors"
            ) from error
        if found.is_meta or found.layout != torch.strided:
            raise UserError("expected a tensor with its numbers, got one without them, or a sparse one")
        if found.ndim < 2 or found.is_complex() or found.dtype == torch.bool:
            raise UserError(
                f"expected numbers (N, ...), one row or more of them for each example, got {found.dtype} "
                f"{tuple(found.shape)}"
            )
        self.images = found.float() if found.is_floating_point() else found.long()
        self.shape: Any = tuple(found.shape[1:])
        self._copies = {}


@dataclass(frozen=True)
class TensorViews:
    """Views that functions of yours make of whole batches.

    Args:
        alter: by kind of view, "weak", "medium" or "strong": of a batch as it is stored and a CPU generator,
            the altered batch. Draw from that generator alone, so that a run resumes to the bit. A weak view
            without a function is the batch itself.
        dtype: of what is stored, float32 or int64.
    """

    alter: dict[str, Alter] = field(default_factory=dict)
    dtype: torch.dtype = torch.float32
    flip = False

    def seen(self, shape: Any) -> Any:
        """The shape as it is stored."""
        return shape

    def plain(self, images: Tensor) -> Tensor:
        """The batch as it is."""
        return images

    def normalize(self, images: Tensor, *, channels_last: bool = False) -> Tensor:
        """The batch as it is."""
        del channels_last
        return images

    def views(
        self, images: Tensor, names: Sequence[str], generator: torch.Generator, *, channels_last: bool = False
    ) -> dict[str, Tensor]:
        """Views by name; arguments as of :meth:`ssl_mix.augment.Augmentation.views`.

        Raises:
            ValueError: nothing makes one, or what makes it gives another shape or kind of number.
        """
        del channels_last
        return {name: self._view(images, name, generator) for name in names}

    def _view(self, images: Tensor, name: str, generator: torch.Generator) -> Tensor:
        kind = kind_of(name)
        if kind == "plain" or (kind == "weak" and kind not in self.alter):
            return images
        if kind not in self.alter:
            raise UserError(f"nothing makes the view {name!r}: give tensor_data a function, {kind}=...")
        made = self.alter[kind](images.clone(), generator)
        if not isinstance(made, Tensor) or (made.shape, made.dtype) != (images.shape, images.dtype):
            found = f"{made.dtype} {tuple(made.shape)}" if isinstance(made, Tensor) else type(made).__name__
            raise UserError(
                f"{kind}: expected a function that gives a batch like the one it gets, {images.dtype} "
                f"{tuple(images.shape)}, got {found}"
            )
        return made


def tensor_data(
    labeled: tuple[Any, Any],
    unlabeled: Any = None,
    test: tuple[Any, Any] | None = None,
    *,
    weak: Alter | None = None,
    medium: Alter | None = None,
    strong: Alter | None = None,
    classes: Sequence[str] | None = None,
    name: str = "tensors",
) -> DataSet:
    """Inputs that are no images, as a data set: signals (N, C, T), token ids (N, L), vectors (N, D).

    They are kept in memory and handed to the network as they are, floats as float32 and whole numbers as
    int64: standardize and tokenize before.

    Args:
        labeled: (X, y); y are whole numbers or names, -1 and "" are unknown.
        unlabeled: more X.
        test: (X, y) to evaluate on.
        weak: of a batch and a CPU generator, the weak views; default: the batch itself. It draws from that
            generator alone: ``torch.rand(..., generator=generator)``.
        medium: likewise, for the algorithms that read such views.
        strong: likewise.
        classes: names of all classes, in the order of whole-numbered labels; default: the labels, sorted.
        name: of the data set, for reports.

    Raises:
        ValueError: parts differ in shape or kind of number, lengths differ, or a label is out of range.

    Examples:
        >>> signals, labels = torch.zeros(4, 2, 100), ["walk", "run", "", ""]
        >>> def strong(batch, generator):
        ...     return batch + 0.1 * torch.randn(batch.shape, generator=generator)
        >>> data = tensor_data((signals, labels), strong=strong)
        >>> data.classes, data.train.labels, data.train.images.shape
        (('run', 'walk'), tensor([ 1,  0, -1, -1]), (2, 100))
    """
    check_kinds({"classes": classes, "name": name}, {"classes": Sequence[str] | None, "name": str})
    for kind, made in zip(KINDS, (weak, medium, strong), strict=True):
        if made is not None and not callable(made):
            raise UserError(f"{kind} must be a function of a batch, got {type(made).__name__}")
    for part, pair in {"labeled": labeled, "test": test}.items():
        if (pair is not None or part == "labeled") and not _is_pair(pair):
            raise UserError(
                f"{part}: expected (X, y), two tensors or arrays, got {type(pair).__name__}: those of a "
                "TensorDataset are its .tensors"
            )
    parts = {
        part: ResidentTensors(given)
        for part, given in (("labeled", labeled[0]), ("unlabeled", unlabeled), ("test", test and test[0]))
        if given is not None
    }
    if "labeled" not in parts:
        raise UserError("labeled: expected (X, y), two tensors or arrays, got None for X")
    kinds = {part: (found.images.dtype, found.shape) for part, found in parts.items()}
    if len(set(kinds.values())) > 1:
        raise UserError(f"all parts must have one shape and kind of number, got {kinds}")
    given_labels = plain_labels(labeled[1], "labeled")
    names = find_classes(given_labels, None if classes is None else tuple(classes))
    numbers = class_numbers(given_labels, names, "labeled")
    stored = parts["labeled"]
    if "unlabeled" in parts:
        more = parts["unlabeled"].images
        stored, numbers = ResidentTensors(torch.cat((stored.images, more))), numbers + [UNKNOWN] * len(more)
    tested = None
    if test is not None:
        tested = ImageSet(
            parts["test"], torch.tensor(class_numbers(plain_labels(test[1], "test"), names, "test"))
        )
    alter = {kind: made for kind, made in zip(KINDS, (weak, medium, strong), strict=True) if made is not None}
    views = TensorViews(alter, stored.images.dtype)
    return DataSet(name, names, ImageSet(stored, torch.tensor(numbers)), tested, views)


def _is_pair(given: Any) -> bool:
    return isinstance(given, tuple | list) and len(given) == 2
