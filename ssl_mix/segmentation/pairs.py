"""Which image goes with which mask, and which of them are to learn from and which to score on."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import torch

from ssl_mix.datasets.class_names import composed
from ssl_mix.datasets.listing import check_folder, list_images
from ssl_mix.errors import UserError, counts_of, verb_for
from ssl_mix.randomness import stream_generator


class Pair(NamedTuple):
    """The files of an image and of its mask."""

    image: Path
    mask: Path


class Pairs(NamedTuple):
    """Images with masks.

    Attributes:
        train: to learn from.
        test: to score on.
        notes: what the user must be told.
    """

    train: list[Pair]
    test: list[Pair]
    notes: list[str]


def find_pairs(images: Path, masks: Path, held_out: float, seed: int) -> Pairs:
    """Match images and masks by their names without the ending, below their folders.

    Where ``masks`` is a folder of Pascal's layout, ``SegmentationClass`` (VOC) or
    ``SegmentationClassContext`` (Context), with ``ImageSets/Segmentation`` or
    ``ImageSets/SegmentationContext`` beside it, ``train.txt`` and ``val.txt`` in there name the two parts.
    Else every image has a mask, and a share of them is held out at random.

    Args:
        images: folder of images.
        masks: folder of masks.
        held_out: share to score on where no lists say, at least one image.
        seed: of that choice.

    Raises:
        ValueError: a folder, a list, an image or a mask is missing, or a part is empty.
    """
    check_folder(images)
    check_folder(masks)
    pictures, indices = _by_name(images), _by_name(masks)
    lists = masks.parent / "ImageSets" / masks.name.replace("Class", "")
    if masks.name.startswith("SegmentationClass") and lists.is_dir():
        train, test = (
            _paired(_listed(lists / f"{part}.txt"), pictures, indices, masks) for part in ("train", "val")
        )
        return Pairs(train, test, [])
    pairs = _paired(pictures, pictures, indices, masks)
    count = min(max(1, round(held_out * len(pairs))), len(pairs) - 1)
    if count < 1:
        raise UserError(f"expected at least two images with masks in {images}, found {len(pairs)}")
    order = torch.randperm(len(pairs), generator=stream_generator(seed, "held-out")).tolist()
    chosen = {*order[:count]}
    alone = len(indices.keys() - pictures.keys())
    held = f"{count} of {counts_of(len(pairs), 'image')} {verb_for(count)} held out to score on"
    notes = [f"{held} (`held_out={held_out:g}`)"]
    if alone:
        told = f"{counts_of(alone, 'mask')} in {masks} that {verb_for(alone)} of no image in {images}"
        notes.append(f"left out {told}")
    train = [pair for place, pair in enumerate(pairs) if place not in chosen]
    return Pairs(train, [pairs[place] for place in sorted(chosen)], notes)


def _by_name(folder: Path) -> dict[str, Path]:
    """Image files by their path below a folder, without the ending."""
    found: dict[str, Path] = {}
    for file in list_images(folder):
        name = composed(file.relative_to(folder).with_suffix("").as_posix())
        if name in found:
            raise UserError(f"{found[name]} and {file} have the same name: take one of them away")
        found[name] = file
    return found


def _listed(file: Path) -> list[str]:
    """The names in a list, one a line."""
    if not file.is_file():
        raise UserError(f"expected a list of images in {file}, one name a line, found none")
    names = composed(file.read_text(encoding="utf-8")).split()
    if not names:
        raise UserError(f"{file} names no image")
    return names


def _paired(
    names: Iterable[str], images: dict[str, Path], masks: dict[str, Path], folder: Path
) -> list[Pair]:
    wanted = list(names)
    for kind, known in (("image", images), ("mask", masks)):
        missing = [name for name in wanted if name not in known]
        if missing:
            place = "" if kind == "image" else f" in {folder}"
            raise UserError(
                f"{len(missing)} of {counts_of(len(wanted), 'image')} "
                f"{verb_for(len(missing), 'has', 'have')} no {kind}{place}, {missing[0]!r} for one: an image "
                "and its mask have the same name, but for the ending"
            )
    return [Pair(images[name], masks[name]) for name in wanted]
