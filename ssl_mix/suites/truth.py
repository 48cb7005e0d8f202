"""Where the objects in images are, by masks and boxes in files, as the network sees the images."""

import xml.etree.ElementTree as ElementTree
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from ssl_mix.augment.crops import center_crop
from ssl_mix.datasets.class_names import composed
from ssl_mix.datasets.listing import check_folder, list_images
from ssl_mix.datasets.masks import read_mask
from ssl_mix.datasets.originals import Form
from ssl_mix.errors import UserError, counts_of, verb_for
from ssl_mix.evaluation.segmentation import VOID

PASCAL = ("JPEGImages", "SegmentationClass")


class Located(NamedTuple):
    """Images whose objects are known.

    Attributes:
        images: files.
        truths: the mask or the XML file of each.
        notes: what the user must be told.
    """

    images: list[Path]
    truths: list[Path]
    notes: list[str]


def with_masks(folder: Path, images: list[Path]) -> Located:
    """Images with masks: those of Pascal's layout where ``folder`` has it, else those of ``images`` after
    which a mask in ``folder`` is named."""
    check_folder(folder)
    if all((folder / name).is_dir() for name in PASCAL):
        return _matched(list_images(folder / PASCAL[0]), list_images(folder / PASCAL[1]), folder, "mask")
    return _matched(images, list_images(folder), folder, "mask")


def with_boxes(folder: Path, images: list[Path]) -> Located:
    """Images with boxes: those in ``JPEGImages`` where ``folder`` has it, else those of ``images`` after
    which an XML file below ``folder`` is named."""
    check_folder(folder)
    own = folder / PASCAL[0]
    pictures = list_images(own) if own.is_dir() else images
    return _matched(pictures, sorted(folder.rglob("*.xml")), folder, "XML file")


def _matched(images: list[Path], truths: list[Path], folder: Path, kind: str) -> Located:
    """By their names without the ending, which must be of one image each, or by those and the names of their
    folders."""
    named: dict[str, list[Path]] = {}
    for truth in truths:
        named.setdefault(composed(truth.stem), []).append(truth)
    known = [image for image in images if composed(image.stem) in named]
    if not known:
        raise UserError(
            f"none of {counts_of(len(truths), kind)} in {folder} is named like one of "
            f"{counts_of(len(images), 'image')}: name them alike, 0001.jpg and 0001.png for example, or put "
            f"{PASCAL[0]} beside them"
        )
    counts = Counter(composed(image.stem) for image in known)
    pairs = []
    for image in known:
        name = composed(image.stem)
        found = named[name]
        if counts[name] > 1 or len(found) > 1:
            found = [truth for truth in found if truth.parent.name == image.parent.name]
            if len(found) > 1 or not found and any(t.parent == folder for t in named[name]):
                raise UserError(
                    f"{counts_of(counts[name], 'image')} and {counts_of(len(named[name]), kind)} are called "
                    f"{name}: put the {kind}s into folders named like those of the images"
                )
        pairs += [(image, truth) for truth in found]
    if not pairs:
        raise UserError(f"no {kind} in {folder} is in a folder named like that of its image")
    alone = len(images) - len(pairs)
    notes = (
        [f"{counts_of(alone, 'image')} {verb_for(alone, 'has', 'have')} no {kind}: left out"] if alone else []
    )
    return Located([image for image, _ in pairs], [truth for _, truth in pairs], notes)


def seen_mask(values: Tensor, form: Form, size: int) -> Tensor:
    """Pixels (H, W) uint8 of an image as the network sees it, (size, size): made square, resized without
    mixing values, its center cut out."""
    picture, side = Image.fromarray(values.numpy()), (form.size, form.size)
    nearest = Image.Resampling.NEAREST
    square = ImageOps.fit(picture, side, nearest) if form.fit == "cut" else picture.resize(side, nearest)
    return center_crop(torch.from_numpy(np.array(square))[None, None], size)[0, 0]


def object_masks(file: Path, form: Form, size: int) -> tuple[Tensor, Tensor]:
    """Masks bool (K, size, size) of the K classes of objects in a file of indices, 0 being the background,
    and the pixels of none (255), bool (size, size)."""
    seen = seen_mask(read_mask(file), form, size)
    kinds = torch.tensor(sorted({*seen.flatten().tolist()} - {0, VOID}), dtype=torch.uint8)
    return seen == kinds[:, None, None], seen == VOID


def object_boxes(file: Path, form: Form, size: int) -> Tensor:
    """Boxes (K, 4) int64, as :func:`ssl_mix.evaluation.boxes_of_masks` has them, of the K objects in an XML
    file of which something is seen."""
    try:
        root = ElementTree.parse(file).getroot()
        width, height = (int(root.findtext(f"size/{name}", "")) for name in ("width", "height"))
        edges = [
            [round(float(box.findtext(name, ""))) for name in ("xmin", "ymin", "xmax", "ymax")]
            for box in root.iterfind("object/bndbox")
        ]
    except (ElementTree.ParseError, ValueError, OSError) as error:
        raise UserError(
            f"{file}: expected XML with size/width, size/height and object/bndbox of xmin, ymin, xmax and "
            f"ymax, as ImageNet has it: {error}"
        ) from error
    found = torch.zeros(0, 4, dtype=torch.int64)
    for left, top, right, bottom in edges:
        mask = torch.zeros(height, width, dtype=torch.uint8)
        mask[max(top - 1, 0) : bottom, max(left - 1, 0) : right] = (
            1  # the first pixel is 1, the last one counts
        )
        rows, columns = seen_mask(mask, form, size).nonzero().unbind(1)
        if len(rows):
            box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            found = torch.cat((found, torch.tensor(box)[None]))
    return found
