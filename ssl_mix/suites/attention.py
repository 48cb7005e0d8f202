"""Whether a vision transformer looks at the object: attention of its class token against masks or boxes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from ssl_mix.errors import UserError
from ssl_mix.evaluation import attention_masks, box_iou, boxes_of_masks, jaccard_index
from ssl_mix.mixers import capture_class_attention
from ssl_mix.suites.object_masks import VOID, as_seen, box_image, mask_image
from ssl_mix.suites.suite import Scene
from ssl_mix.suites.words import images, percent

MASS, WIDE = 0.6, 0.5  # of the attention that is kept; of a box, to count as found
BARS = 20
Read = Callable[[Path], Image.Image]


def measure(scene: Scene) -> dict[str, Any]:
    """Jaccard index with masks, and box overlaps with boxes, of those test images that have them."""
    kinds: dict[str, tuple[str | None, str, Read]] = {
        "masks": (scene.options.masks, ".png", mask_image),
        "boxes": (scene.options.boxes, ".xml", box_image),
    }
    wanted = {kind: (Path(named), suffix, read) for kind, (named, suffix, read) in kinds.items() if named}
    if not wanted:
        raise UserError("name a folder of masks (`masks=DIR`) or of boxes (`boxes=DIR`) of the test images")
    numbers: dict[str, Any] = {"test_images": len(scene.answered.labels), "mass": MASS}
    for kind, (folder, suffix, read) in wanted.items():
        rows, files = _annotated(scene, folder, suffix, kind)
        seen, truth = _attention(scene, rows), _truth(scene, files, read)
        numbers[kind] = _of_masks(seen, truth) if kind == "masks" else _of_boxes(seen, truth)
    return numbers


def _annotated(scene: Scene, folder: Path, suffix: str, kind: str) -> tuple[Tensor, list[Path]]:
    """The rows of a sample of the test images that have an annotation, and the files of those."""
    files = getattr(scene.answered.images, "files", None)
    if files is None:
        raise UserError(f"`{kind}` belong to image files, and the test images of this run are none")
    there = {path.stem: path for path in sorted(folder.rglob(f"*{suffix}"))}
    stems = [Path(files[position]).stem for position in scene.answered.positions.tolist()]
    rows = [row for row in scene.sample().tolist() if stems[row] in there]
    if not rows:
        raise UserError(f"{folder} (`{kind}`) has no {suffix} file with the name of a test image")
    return torch.tensor(rows), [there[stems[row]] for row in rows]


def _attention(scene: Scene, rows: Tensor) -> Tensor:
    """Which pixels hold most of the attention, bool (n, S, S)."""
    size, found = scene.answered.trained.shape[1], []
    with capture_class_attention(scene.answered.trained.net) as attention:
        for batch, _ in scene.batches(rows):
            scene.logits(batch)
            kept = attention_masks(attention().cpu(), MASS)
            side = round(kept.shape[1] ** 0.5)
            if side**2 != kept.shape[1]:
                raise UserError(f"the network attends to {kept.shape[1]} patches, which make no square")
            squares = kept.view(-1, 1, side, side).float()
            found.append(F.interpolate(squares, size=(size, size), mode="nearest")[:, 0] > 0)
            scene.tell("reading attention", sum(map(len, found)), len(rows))
    return torch.cat(found)


def _truth(scene: Scene, files: list[Path], read: Read) -> Tensor:
    """Annotations as the network sees their images, uint8 (n, S, S)."""
    trained = scene.answered.trained
    return torch.stack([as_seen(read(file), trained.form, trained.shape[1]) for file in files])


def _of_masks(seen: Tensor, truth: Tensor) -> dict[str, Any]:
    scores = jaccard_index(seen, truth == 1, truth == VOID)
    everything = jaccard_index(torch.ones_like(seen), truth == 1, truth == VOID)
    return {
        "images": len(seen),
        "jaccard": scores.mean().item(),
        "jaccard_of_all_pixels": everything.mean().item(),
        "scores": scores.tolist(),
    }


def _of_boxes(seen: Tensor, truth: Tensor) -> dict[str, Any]:
    boxes = boxes_of_masks(truth == 1)
    scores, whole = box_iou(boxes_of_masks(seen), boxes), boxes_of_masks(torch.ones_like(seen))
    return {
        "images": len(seen),
        "iou": scores.mean().item(),
        "iou_of_whole_image": box_iou(whole, boxes).mean().item(),
        "found": (scores > WIDE).double().mean().item(),
        "scores": scores.tolist(),
    }


def rows(numbers: dict[str, Any]) -> list[tuple[str, str]]:
    """Every number in words, beside what no network at all would have."""
    found = []
    if (masks := numbers.get("masks")) is not None:
        count = images(masks["images"])
        found += [
            ("Jaccard index of attention and masks", f"{percent(masks['jaccard'])} of {count}"),
            ("of all pixels and masks", f"{percent(masks['jaccard_of_all_pixels'])} of {count}"),
        ]
    if (boxes := numbers.get("boxes")) is not None:
        count = images(boxes["images"])
        found += [
            ("overlap (IoU) of attention and boxes", f"{percent(boxes['iou'])} of {count}"),
            ("of the whole image and boxes", f"{percent(boxes['iou_of_whole_image'])} of {count}"),
            ("boxes found (IoU above 50 %)", f"{percent(boxes['found'])} of {count}"),
        ]
    return found


def draw(numbers: dict[str, Any]) -> Figure | None:
    """How many images have which overlap."""
    kinds = [kind for kind in ("masks", "boxes") if kind in numbers]
    figure = Figure(figsize=(3.6 * len(kinds), 2.8), layout="constrained")
    for axes, kind in zip(figure.subplots(1, len(kinds), squeeze=False)[0], kinds, strict=True):
        axes.hist(numbers[kind]["scores"], bins=BARS, range=(0, 1))
        axes.set_xlabel(f"overlap of attention and {kind}")
        axes.set_ylabel(f"images, of {numbers[kind]['images']}")
    return figure
