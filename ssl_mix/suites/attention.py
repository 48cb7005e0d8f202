"""Whether the run, a vision transformer, looks at the objects."""

import base64
import io
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ssl_mix.datasets.ahead import FilesAhead
from ssl_mix.errors import UserError, counts_of, verb_for
from ssl_mix.evaluation import attention_masks, box_iou, boxes_of_masks, jaccard_index
from ssl_mix.evaluation.accuracy import CHUNK, at_once
from ssl_mix.mixers import capture_class_attention
from ssl_mix.mixers.cells import spread
from ssl_mix.suites.changed import sample_words, sampled_rows
from ssl_mix.suites.figures import new_figure
from ssl_mix.suites.suite import Scene
from ssl_mix.suites.truth import Located, object_boxes, object_masks, with_boxes, with_masks
from ssl_mix.suites.words import images, percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN, SIDE = 6, 96  # examples in the picture, and their pixels a side
HALF = 0.5  # overlap from which an object counts as found


def measure(scene: Scene) -> dict[str, Any]:
    """How concentrated attention is, and its overlap with masks and boxes where there are some."""
    options, rows = scene.options, sampled_rows(scene)
    numbers: dict[str, Any] = {"images": len(rows), "of": len(scene.answered.labels)}
    numbers |= {"mass": options.attention_mass, "notes": []}
    kept: list[Tensor] = []
    shown: list[dict[str, Any]] = []
    for seen, _ in scene.batches(rows):
        attention = grid_attention(scene, seen)
        mean = attention.mean(dim=1)
        kept.append(attention_masks(mean.flatten(1), options.attention_mass).double().mean(dim=1))
        wanted = SHOWN - len(shown)
        pairs = zip(seen[:wanted], mean[:wanted], strict=True)
        shown += [_example(*pair) for pair in pairs]
        numbers["heads"], numbers["grid"] = attention.shape[1:3]
    numbers |= {"kept_area": float(torch.cat(kept).mean()), "shown": shown}
    for name, place, find, score in (
        ("masks", options.masks, with_masks, _jaccard),
        ("boxes", options.boxes, with_boxes, _overlap),
    ):
        if place is not None:
            located = _some(scene, find(Path(place), _files(scene)))
            numbers[name] = score(scene, located)
            numbers["notes"] += [note for note in located.notes if note not in numbers["notes"]]
    return numbers


def grid_attention(scene: Scene, seen: Tensor) -> Tensor:
    """Attention of the class token in the last block to the patches of images (n, C, H, W) as the network
    sees them: (n, heads, g, g) float32 on the CPU."""
    with capture_class_attention(scene.answered.trained.net, each_head=True) as attention:
        scene.logits(seen)
    found = attention().cpu()
    side = math.isqrt(found.shape[2])
    if side**2 != found.shape[2]:
        raise UserError(f"{found.shape[2]} patches make no square, as those of square images do")
    return found.view(*found.shape[:2], side, side)


def _files(scene: Scene) -> list[Path]:
    """Those of the test images; none where they have none."""
    source = scene.answered.images
    files = getattr(source, "files", None) or []
    return [Path(files[position]) for position in scene.answered.positions.tolist()] if files else []


def _some(scene: Scene, located: Located) -> Located:
    count, most = len(located.images), scene.options.limit
    if count <= most:
        return located
    generator = torch.Generator().manual_seed(int(scene.options.suite_seed))
    chosen = torch.randperm(count, generator=generator)[:most].sort().values.tolist()
    pictures, truths = ([files[place] for place in chosen] for files in located[:2])
    notes = [
        *located.notes,
        f"{most} of {counts_of(count, 'image')} with a truth {verb_for(most)} looked at, drawn at random",
    ]
    return Located(pictures, truths, notes)


def _looked(scene: Scene, located: Located) -> Iterator[tuple[Path, Tensor]]:
    """For each image the file of its truth, and the masks (1 + heads, H, W) of the mean over the heads and of
    each head, in the pixels that the network sees."""
    trained, form = scene.answered.trained, scene.answered.trained.form
    source = FilesAhead(located.images, form, progress=scene.progress, label="reading images with a truth")
    chunks = torch.split(torch.arange(len(source)), at_once(source.shape, CHUNK[trained.device.type]))
    side = trained.shape[1]
    for chunk, stored in zip(chunks, source.batches(chunks, trained.device), strict=True):
        attention = grid_attention(scene, trained.augmentation.plain(stored))
        every = torch.cat((attention.mean(dim=1, keepdim=True), attention), dim=1)
        kept = attention_masks(every.flatten(2), scene.options.attention_mass).view(every.shape)
        large = spread(kept.flatten(0, 1), side, side).view(*kept.shape[:2], side, side)
        for position, masks in zip(chunk.tolist(), large, strict=True):
            if position not in source.broken:
                yield located.truths[position], masks
    located.notes.extend(f"left out {located.images[p]}: {why}" for p, why in sorted(source.broken.items()))


def _jaccard(scene: Scene, located: Located) -> dict[str, Any]:
    """Means over images of the means over the classes of objects in each: of the mean over the heads, of the
    head that fits best, and of a mask of everything."""
    form, side = scene.answered.trained.form, scene.answered.trained.shape[1]
    found = []
    for file, masks in _looked(scene, located):
        truths, void = object_masks(file, form, side)
        if not len(truths):
            continue
        every = torch.cat((masks, torch.ones_like(masks[:1])))
        scores = torch.stack(
            [jaccard_index(every, truth.expand_as(every), void.expand_as(every)) for truth in truths]
        )
        found.append([scores[:, 0].mean(), scores[:, 1:-1].amax(dim=1).mean(), scores[:, -1].mean()])
    return _means(found, ("jaccard", "best_head", "everything"), "mask")


def _overlap(scene: Scene, located: Located) -> dict[str, Any]:
    """Means over images of the overlap with the object that fits best: of the box around the attention, and
    of the whole image; and how often it is a half or more."""
    form, side = scene.answered.trained.form, scene.answered.trained.shape[1]
    found = []
    whole = torch.tensor([[0, 0, side, side]])
    for file, masks in _looked(scene, located):
        truths = object_boxes(file, form, side)
        if len(truths):
            own, everything = (
                box_iou(box.expand(len(truths), -1), truths).max()
                for box in (boxes_of_masks(masks[:1]), whole)
            )
            found.append([own, (own >= HALF).double(), everything])
    return _means(found, ("iou", "found", "everything"), "box")


def _means(found: list[list[Tensor]], names: tuple[str, ...], kind: str) -> dict[str, Any]:
    if not found:
        raise UserError(f"no {kind} shows an object in the part of an image that the network sees")
    means = torch.tensor(found, dtype=torch.float64).mean(dim=0).tolist()
    return {"images": len(found), **dict(zip(names, means, strict=True))}


def _example(image: Tensor, attention: Tensor) -> dict[str, Any]:
    """A small image as PNG in base 64, and its attention to each patch in rows, 1 for an even one."""
    pixels = image.cpu().permute(1, 2, 0).numpy()
    picture = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).convert("RGB")
    file = io.BytesIO()
    picture.resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(file, "PNG")
    relative = attention / attention.mean()
    return {
        "png": base64.b64encode(file.getvalue()).decode(),
        "attention": relative.numpy().round(3).tolist(),
    }


def rows(numbers: dict[str, Any]) -> list[tuple[str, str]]:
    """Every number in words."""
    grid, mass = numbers["grid"], percent(numbers["mass"], 0)
    area = f"{percent(numbers['kept_area'], 1)} of {grid} x {grid} patches; {mass} would be even"
    found = [
        (f"patches that hold {mass} of the attention", area),
        ("images", f"{sample_words(numbers['images'], numbers['of'])}; mean over {numbers['heads']} heads"),
    ]
    if "masks" in numbers:
        part = numbers["masks"]
        of = images(part["images"])
        found += [
            ("Jaccard index with masks", f"{percent(part['jaccard'], 1)} of {of}"),
            ("the same by the head that fits each best", f"{percent(part['best_head'], 1)} of {of}"),
            ("the same if all of the image were marked", f"{percent(part['everything'], 1)} of {of}"),
        ]
    if "boxes" in numbers:
        part = numbers["boxes"]
        of = images(part["images"])
        found += [
            ("overlap (IoU) with boxes", f"{percent(part['iou'], 1)} of {of}"),
            ("boxes with an overlap of at least 50 %", f"{percent(part['found'], 1)} of {of}"),
            ("overlap if all of the image were the box", f"{percent(part['everything'], 1)} of {of}"),
        ]
    return [*found, *(("note", note) for note in numbers["notes"])]


def draw(numbers: dict[str, Any]) -> "Figure | None":
    """Some images, and below each what it is attended to."""
    shown = numbers["shown"]
    figure = new_figure(1.5 * len(shown) + 1.2, 3.2)
    cells = figure.subplots(2, len(shown), squeeze=False)
    highest = max(np.max(example["attention"]) for example in shown)
    for (upper, lower), example in zip(cells.T, shown, strict=True):
        with Image.open(io.BytesIO(base64.b64decode(example["png"]))) as picture:
            upper.imshow(np.array(picture))
        heat = lower.imshow(example["attention"], cmap="viridis", vmin=0, vmax=highest)
        for axes in (upper, lower):
            axes.set_xticks([])
            axes.set_yticks([])
    figure.colorbar(heat, ax=cells[1].tolist(), label="attention\n(1: even)")
    return figure
