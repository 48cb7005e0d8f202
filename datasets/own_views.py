"""Views that the user's own transforms make of the images as they were given, in worker processes."""

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from ssl_mix.augment.views import kind_of
from ssl_mix.datasets.images import in_workers
from ssl_mix.datasets.originals import Originals
from ssl_mix.datasets.pixels import Original
from ssl_mix.errors import UserError
from ssl_mix.randomness import stream_seed
from ssl_mix.ranks import share_of

Transform = Callable[[Any], Any]  # of a Pillow image or uint8 (C, H, W) to float (C, h, w), normalized
Made = dict[str, Tensor]


class OwnViews(NamedTuple):
    """How the views of some kinds are made of training images.

    Each call of a transform begins with torch's, NumPy's and Python's generators seeded from (run seed, part,
    step, place in the batch, view), so that the views do not depend on the number of workers, and a run
    resumes to the bit.

    Attributes:
        images: training images as they were given.
        transforms: by the kind of view, "weak" or "strong".
        shape: (C, H, W) of what they give.
        workers: processes.
    """

    images: Originals
    transforms: Mapping[str, Transform]
    shape: tuple[int, int, int]
    workers: int

    def makes(self, view: str) -> bool:
        """Whether that view ("weak", "strong2") is one of these."""
        return kind_of(view) in self.transforms

    def batches(
        self,
        views: Sequence[str],
        indices: Iterable[Tensor],
        *,
        seed: int,
        part: str,
        start: int = 0,
        pinned: bool = False,
    ) -> Iterator[Made]:
        """The views, each (n, C, H, W) float32 on the CPU, for each index tensor (n,); for its share of the n
        alone where several processes train together.

        Args:
            views: names.
            indices: positions of training images, a tensor for each step; may be endless.
            seed: of the run.
            part: "labeled" or "unlabeled", which draw by themselves.
            start: the step of the first tensor.
            pinned: see ``in_workers``.

        Raises:
            ValueError: a transform gives something else than a float tensor of ``shape``.
        """
        wanted = (
            [_Wanted(image, step, slot) for slot, image in enumerate(batch.tolist())][share_of(len(batch))]
            for step, batch in zip(count(start), indices, strict=False)
        )
        items = _Views(self, tuple(views), seed, part)
        return in_workers(items, wanted, _stack, self.workers, pinned=pinned)


def first_view(images: Originals, kind: str, transform: Transform, channels: int) -> Tensor:
    """What ``transform`` gives for the first image that can be read.

    Raises:
        ValueError: no float tensor (C, h, w) with those channels.
    """
    for position in range(len(images)):
        try:
            original = images.original(position, channels)
        except Exception:  # reading all of them will tell what is wrong
            continue
        return _made(kind, transform, original, (channels, None, None), seed=0)
    raise UserError("no image can be read")


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Within the block torch, NumPy and Python draw from ``seed`` and torch computes in one thread, as in a
    worker; behind it all is as before."""
    states = torch.get_rng_state(), np.random.get_state(), random.getstate()
    threads = torch.get_num_threads()
    torch.default_generator.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.set_rng_state(states[0])
        np.random.set_state(states[1])
        random.setstate(states[2])


class _Wanted(NamedTuple):
    image: int
    step: int
    slot: int


class _Views(Dataset[Made]):
    def __init__(self, own: OwnViews, views: tuple[str, ...], seed: int, part: str) -> None:
        self.own, self.views, self.seed, self.part = own, views, seed, part

    def __getitem__(self, wanted: Any) -> Made:
        own = self.own
        original = own.images.original(wanted.image, own.shape[0])
        return {
            view: _made(
                view,
                own.transforms[kind_of(view)],
                original,
                own.shape,
                seed=stream_seed(self.seed, f"{self.part}/{view}/{wanted.slot}", wanted.step),
            )
            for view in self.views
        }


def _made(
    view: str, transform: Transform, original: Original, shape: Sequence[int | None], *, seed: int
) -> Tensor:
    copy = original.clone() if isinstance(original, Tensor) else original.copy()
    with seeded(seed):
        made = transform(copy)
    right = isinstance(made, Tensor) and made.is_floating_point() and made.ndim == 3
    if not right or any(want not in (None, found) for want, found in zip(shape, made.shape, strict=True)):
        found = f"{made.dtype} {tuple(made.shape)}" if isinstance(made, Tensor) else type(made).__name__
        sides = ", ".join(
            name if side is None else str(side) for name, side in zip("Chw", shape, strict=True)
        )
        raise UserError(
            f"{view}: expected a transform that gives a normalized float tensor ({sides}), got {found}"
        )
    view_made: Tensor = made.detach().float()
    return view_made


def _stack(items: list[Made]) -> Made:
    return {view: torch.stack([item[view] for item in items]) for view in items[0]}
