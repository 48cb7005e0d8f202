"""The features of all views of all images, computed once and kept in the folder of a run."""

import dataclasses
import hashlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import torch
from torch import Tensor, nn

from ssl_mix.augment.cached import view_names
from ssl_mix.datasets import DataSet, ImageSet, Split
from ssl_mix.datasets.features import feature_data
from ssl_mix.errors import UserError, counts_of
from ssl_mix.evaluation import accuracy
from ssl_mix.evaluation.view_features import view_features
from ssl_mix.models.first_weights import images_behind
from ssl_mix.passes import backbone
from ssl_mix.ranks import rank
from ssl_mix.runs.folder import write_whole
from ssl_mix.runs.reading import load_whole
from ssl_mix.transfer.head_net import HeadNet, standardized
from ssl_mix.transfer.looks import Look, fitting_looks
from ssl_mix.transfer.starts import LinearHead, probe

FEATURES = "features.pt"
CHUNK = 4096
CPU = torch.device("cpu")
Progress = Callable[[str, int, int], None]


@dataclasses.dataclass(frozen=True)
class Features:
    """Features of all views of all images.

    Attributes:
        images: the data set that they were made of.
        data: the data set of them, :func:`standardized`.
        table: as the network makes them, (R, D) float16, see :func:`ssl_mix.datasets.features.feature_data`.
        averaged: those of plain views over several looks at them, (N + T, D) float16, which a head learns
            from in place of their rows in the table; None for one look.
        center: their mean over the plain views that are learned from, (D,) float32.
        fingerprint: of what they were made of.
        body: the network that made them.
        looks: at a plain view.
    """

    images: DataSet
    data: DataSet
    table: Tensor
    averaged: Tensor | None
    center: Tensor
    fingerprint: str
    body: nn.Module
    looks: tuple[Look, ...]

    def probe(self, split: Split) -> LinearHead:
        """The linear classifier of the labeled images' features, as the network makes them of one look."""
        images = self.data.train.images
        [rows] = images.batches([torch.tensor(split.labeled)], CPU)
        labels = self.data.train.labels[torch.tensor(split.labeled)]
        return probe(self.table[rows].float(), labels, len(self.data.classes))

    def probe_scores(self, split: Split) -> dict[str, float]:
        """Accuracy of the probe on the test part, and on the held-out one, by the names of
        :class:`ssl_mix.runs.starts.Start`."""
        head, found = self.probe(split), {}
        if split.validation:
            found["probe_validation_accuracy"] = self._right(head, self.data.train, split.validation)
        if self.data.test is not None:
            every = range(len(self.data.test.images))
            found["probe_accuracy"] = self._right(head, self.data.test, every)
        return found

    def network(self) -> HeadNet:
        """A head for them, as it is made."""
        return HeadNet(len(self.center), len(self.data.classes))

    def _right(self, head: LinearHead, part: ImageSet, images: Sequence[int]) -> float:
        index = torch.tensor(images, dtype=torch.int64)
        [rows] = part.images.batches([index], CPU)
        return accuracy(head(self.table[rows].float()), part.labels[index])

    def save(self, folder: Path) -> None:
        """Write them to the folder of a run; where they are deleted, they are computed again if need be."""
        content = {"fingerprint": self.fingerprint, "table": self.table, "averaged": self.averaged}
        write_tensors(folder / FEATURES, content)


def features_of(
    data: DataSet,
    body: nn.Module,
    *,
    count: int,
    seed: int,
    tta: bool,
    device: torch.device,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> Features:
    """The features of ``count`` weak and strong views of every image, read from a folder where they were
    computed before of the same images, weights and draws, and else kept there.

    Args:
        data: the images.
        body: makes the features.
        count: K, weak views and strong ones.
        seed: of their draws.
        tta: whether those of plain views are averaged over several looks.
        device: where they are computed.
        folder: that keeps them.
        progress: told how far it is.

    Raises:
        ValueError: they do not fit into the memory, or the user's own transforms make views.
    """
    if data.own_views is not None:
        raise UserError(
            "`tune=head` computes the features of views that ssl-mix makes: leave out `weak` and `strong`, "
            "or take `tune=all`"
        )
    shape = data.augmentation.seen(data.train.images.shape)
    looks = looks_at(body, shape, flip=data.of_pixels.flip) if tta else (Look(),)
    names, found = view_names(count), fingerprint(data, body, count, seed, looks)
    cached = None if folder is None else read_tensors(folder / FEATURES)
    if cached is None or cached.get("fingerprint") != found or "averaged" not in cached:
        table = _compute(data, body, names, seed, device, progress)
        cached = {"fingerprint": found, "table": table}
        cached["averaged"] = _averaged(data, body, table[plain_rows(data, count)], looks, device, progress)
        if folder is not None and rank() == 0:
            write_tensors(folder / FEATURES, cached)
    table, averaged, rows = cached["table"], cached["averaged"], plain_rows(data, count)
    plain = table[rows] if averaged is None else averaged
    center = plain[: len(data.train.images)].float().mean(dim=0)
    ready = torch.cat([standardized(part, center).half() for part in torch.split(table, CHUNK)])
    ready[rows] = standardized(plain, center).half()
    return Features(data, feature_data(data, ready, count), table, averaged, center, found, body, looks)


def looks_at(body: nn.Module, shape: tuple[int, int, int], *, flip: bool) -> tuple[Look, ...]:
    """Those of ``tta``, see :func:`ssl_mix.transfer.looks.fitting_looks`."""
    known = images_behind(body)
    return fitting_looks(body, shape, flip=flip, trained=None if known is None else known.size)


def plain_rows(data: DataSet, count: int) -> Tensor:
    """Where in a table of features those of plain views are: of images to learn from, then of those to test
    on; (N + T,) int64."""
    views, images = 1 + 2 * count, len(data.train.images)
    tested = 0 if data.test is None else len(data.test.images)
    return torch.cat((torch.arange(images) * views, images * views + torch.arange(tested)))


def _compute(
    data: DataSet,
    body: nn.Module,
    names: tuple[str, ...],
    seed: int,
    device: torch.device,
    progress: Progress | None,
) -> Tensor:
    images, tested = len(data.train.images), 0 if data.test is None else len(data.test.images)
    size = 2 * backbone(body).head.in_features * (len(names) * images + tested)
    available = psutil.virtual_memory().available
    if 2 * size > available:  # as they are, and standardized
        raise UserError(
            f"the features of {counts_of(len(names), 'view')} of {counts_of(images, 'image')} take twice "
            f"{size / 2**20:,.0f} MiB, and {available / 2**20:,.0f} MiB are free: lower `feature_views`"
        )

    def told(label: str) -> Callable[[int, int], None] | None:
        said = f"features of {label} ({size / 2**20:,.0f} MiB)"
        return None if progress is None else lambda done, total: progress(said, done, total)

    body = body.to(device)
    train = view_features(
        body,
        data.train.images,
        data.augmentation,
        device,
        names,
        seed=seed,
        progress=told(f"{counts_of(len(names), 'view')} of each image"),
    )
    if data.test is None:
        return train
    label = told("the test images")
    test = view_features(body, data.test.images, data.augmentation, device, progress=label)
    return torch.cat((train, test))


def _averaged(
    data: DataSet,
    body: nn.Module,
    plain: Tensor,
    looks: Sequence[Look],
    device: torch.device,
    progress: Progress | None,
) -> Tensor | None:
    """Means (N + T, D) over looks of which ``plain`` is the first; None where it is all."""
    if len(looks) == 1:
        return None
    total = plain.float()
    for look in looks[1:]:
        done = 0
        for part, label in ((data.train, "images"), (data.test, "test images")):
            if part is not None:
                told = None if progress is None else partial(progress, f"features of {label}, enlarged")
                seen = view_features(body, part.images, data.augmentation, device, look=look, progress=told)
                total[done : done + len(seen)] += seen
                done += len(seen)
    return (total / len(looks)).half()


def fingerprint(data: DataSet, body: nn.Module, count: int, seed: int, looks: Sequence[Look]) -> str:
    """SHA-256 of the data set, how its images are altered, the weights but for the head's, the number of
    views, the seed of their draws and the looks at plain ones."""
    digest = hashlib.sha256(repr((data.fingerprint(), data.of_pixels, count, seed, *looks)).encode())
    head = {id(weight) for weight in backbone(body).head.parameters()}
    for name, value in body.state_dict(keep_vars=True).items():
        if id(value) not in head:
            digest.update(name.encode())
            digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def write_tensors(path: Path, content: dict[str, Any]) -> None:
    """Write a file of tensors whole or not at all."""
    write_whole(path, lambda file: torch.save(content, file))


def read_tensors(path: Path) -> dict[str, Any] | None:
    """What ``write_tensors`` wrote; None where there is no such file or it cannot be read."""
    try:
        content = load_whole(path)
    except (UserError, OSError):  # missing or damaged in any way
        return None
    return content if isinstance(content, dict) else None
