"""Your own images as one entry of the registry: folders of classes, a labeled and an unlabeled folder, or a
table."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ssl_mix.datasets.copies import Drop
from ssl_mix.datasets.data import DataSet
from ssl_mix.datasets.decode import Fit
from ssl_mix.datasets.decode_many import Progress
from ssl_mix.datasets.folder import load_folder, load_two_folders
from ssl_mix.datasets.given import as_dataset, load_table
from ssl_mix.datasets.huggingface_data import PREFIX
from ssl_mix.datasets.tar_shards import shards_at
from ssl_mix.errors import UserError, checking_kinds


@checking_kinds
def load_own_images(
    data_dir: Path,
    *,
    train: Path | None = None,
    test: Path | None = None,
    labeled: Path | None = None,
    unlabeled: Path | None = None,
    table: Path | None = None,
    image_size: int = 32,
    fit: Fit = "cut",
    memory_budget: int | None = None,
    drop_copies: Drop = "none",
    cache_images: Path | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> DataSet:
    """Your own images: one sub-folder per class, a folder with labels and one without, or a table.

    Args:
        data_dir: holds the sub-folders ``train`` and, where there are test images, ``test``; read where
            nothing below is given.
        train: holds a sub-folder of training images per class; or tar archives in the naming of WebDataset,
            or ``hf:NAME`` for a data set of Hugging Face, as the following.
        test: holds the same sub-folders of test images.
        labeled: the same as ``train``, with all images labeled.
        unlabeled: goes with ``labeled`` or ``table``: holds images without labels, flat or nested.
        table: a ``.csv`` or ``.tsv`` file with the columns "file" and "label", see ``load_table``.
        image_size: side in pixels at which images are stored, at least 8.
        fit: how they become square: "cut" to the central square, or the whole image "squash".
        memory_budget: bytes; images that need more are read from their files again and again. Default: half
            of the free memory.
        drop_copies: leave out training images that are test images too or in two classes, and all but one of
            several: "exact" by the bytes of their files, "near" by what they look like (with imagehash).
        cache_images: folder for decoded images, which later runs read there, see ``read_cached``.
        workers: processes that read images which are not kept in memory; default: up to 8.
        progress: told (what is done, files done, files in all).

    Raises:
        ValueError: the arguments contradict each other, or anything that ``load_folder`` refuses.

    Examples:
        >>> data = load_own_images(Path("."), image_size=8)  # the folder "train", and "test" if there is one
        >>> data.classes, data.train.labels
        (('cat', 'dog'), tensor([0, 0, 1, 1]))
    """
    _check({"train": train, "table": table, "labeled": labeled, "unlabeled": unlabeled})
    reading: dict[str, Any] = {
        "image_size": image_size,
        "fit": fit,
        "memory_budget": memory_budget,
        "drop_copies": drop_copies,
        "cache_images": cache_images,
        "workers": workers,
        "progress": progress,
    }
    if any(packs_images(str(path)) for path in (train, labeled, unlabeled, test) if path is not None):
        return as_dataset(train or labeled or table, unlabeled, test, name="packed", **reading)
    if table:
        return load_table(table, test, unlabeled, **reading)
    if labeled and unlabeled:
        return load_two_folders(labeled, unlabeled, test, **reading)
    folder = train or labeled
    if folder is None:
        folder, test = data_dir / "train", test or _if_there(data_dir / "test")
        if not folder.is_dir():
            raise UserError(
                f"`data=folder` needs `train=DIR` with one sub-folder of images per class; {folder} is none"
            )
    return load_folder(folder, test, **reading)


def packs_images(path: str) -> bool:
    """Whether a path means images inside other files: tar archives, or a data set of Hugging Face."""
    return path.startswith(PREFIX) or bool(shards_at(path))


def _if_there(folder: Path) -> Path | None:
    return folder if folder.is_dir() else None


def _check(given: Mapping[str, Path | None]) -> None:
    names = [name for name, value in given.items() if value is not None]
    if names == ["unlabeled"]:
        raise UserError("`unlabeled` needs `labeled` beside it: one folder with labels and one without")
    if len(names) > 1 and names[0] in ("train", "table") and names != ["table", "unlabeled"]:
        raise UserError(
            f"`{names[0]}` holds all training images: leave out `{names[1]}`, or `{names[0]}` itself"
        )
