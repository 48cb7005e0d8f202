"""The suite of attention, on squares whose masks and boxes are made beside them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from robust_scene import digits_scene, files_scene, write_squares

from ssl_mix.datasets.originals import Form
from ssl_mix.errors import UserError
from ssl_mix.mixers import capture_class_attention
from ssl_mix.suites import Scene, SuiteOptions, attention
from ssl_mix.suites.truth import object_boxes, object_masks, with_boxes

XML = """<annotation><size><width>{w}</width><height>{h}</height><depth>3</depth></size>
<object><name>n1</name><bndbox><xmin>{x0}</xmin><ymin>{y0}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox></object>
</annotation>"""


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    folder = tmp_path_factory.mktemp("squares")
    write_squares(folder, ("red", "green"), 4, 64)
    words = ["--net", "timm:test_vit", "--image-size", "64", "--steps", "3", "--batch-size", "8"]
    return files_scene(folder, folder / "run", *words)


def of(scene: Scene, **given: Any) -> Scene:
    return replace(scene, options=SuiteOptions(**given))


def files_of(scene: Scene) -> list[Path]:
    return [Path(file) for file in scene.answered.images.files]  # type: ignore[attr-defined]


def square_of(file: Path) -> np.ndarray[Any, Any]:
    """Where the square is: far from gray."""
    pixels = np.asarray(Image.open(file)).astype(int)
    return np.ptp(pixels, axis=2) > 60


def write_truths(scene: Scene, folder: Path) -> None:
    """A mask, whose first row is of no class, and an XML file for each test image."""
    folder.mkdir()
    for file in files_of(scene):
        square = square_of(file)
        rows, columns = square.nonzero()
        mask = np.where(square, 7, 0).astype(np.uint8)
        mask[0] = 255
        Image.fromarray(mask).save(folder / f"{file.stem}.png")
        edges = {"x0": columns.min() + 1, "y0": rows.min() + 1, "x1": columns.max() + 1, "y1": rows.max() + 1}
        (folder / f"{file.stem}.xml").write_text(XML.format(w=64, h=64, **edges))


def kept_by_hand(values: list[float], mass: float) -> set[int]:
    held, kept = 0.0, set()
    for place in sorted(range(len(values)), key=lambda place: -values[place]):
        if held >= mass * sum(values) - 1e-9:
            break
        held += values[place]
        kept.add(place)
    return kept


def test_overlaps_are_those_of_a_loop_over_pixels(scene: Scene, tmp_path: Path) -> None:
    write_truths(scene, tmp_path / "truths")
    given = {"masks": str(tmp_path / "truths"), "boxes": str(tmp_path / "truths"), "attention_mass": 0.5}
    found = attention.measure(of(scene, **given))
    trained, area, jaccards, heads, overlaps = scene.answered.trained, [], [], [], []
    for (images, _), file in zip(
        [next(scene.batches(torch.tensor([row]))) for row in range(8)], files_of(scene), strict=True
    ):
        with torch.inference_mode(), capture_class_attention(trained.net, each_head=True) as captured:
            trained.net(trained.augmentation.normalize(images))
        each = captured()[0].double()
        square = square_of(file)
        scores = []
        for values in (each.mean(0), *each):
            kept = kept_by_hand(values.tolist(), 0.5)
            marked = {(r, c) for r in range(64) for c in range(64) if r // 16 * 4 + c // 16 in kept}
            true = {(r, c) for r, c in zip(*square.nonzero(), strict=True)}
            counted = {(r, c) for r, c in marked | true if r > 0}
            scores.append(len(marked & true & counted) / len(counted))
        area.append(len(kept_by_hand(each.mean(0).tolist(), 0.5)) / 16)
        jaccards.append(scores[0])
        heads.append(max(scores[1:]))
        overlaps.append(box_overlap(kept_by_hand(each.mean(0).tolist(), 0.5), square))
    assert found["kept_area"] == pytest.approx(sum(area) / 8)
    assert found["masks"]["jaccard"] == pytest.approx(sum(jaccards) / 8)
    assert found["masks"]["best_head"] == pytest.approx(sum(heads) / 8) and found["masks"]["images"] == 8
    assert found["boxes"]["iou"] == pytest.approx(sum(overlaps) / 8)
    assert found["boxes"]["everything"] == pytest.approx(0.25)
    assert found["boxes"]["found"] == pytest.approx(sum(overlap >= 0.5 for overlap in overlaps) / 8)


def box_overlap(kept: set[int], square: np.ndarray[Any, Any]) -> float:
    """Of the box around the largest part of the kept cells of 4 x 4 with the square."""
    parts: list[set[int]] = []
    for start in sorted(kept):
        if any(start in part for part in parts):
            continue
        part, ahead = set(), [start]
        while ahead:
            cell = ahead.pop()
            if cell in part or cell not in kept:
                continue
            part.add(cell)
            row, column = divmod(cell, 4)
            ahead += [row * 4 + column + step for step in (-1, 1) if 0 <= column + step < 4]
            ahead += [(row + step) * 4 + column for step in (-1, 1) if 0 <= row + step < 4]
        parts.append(part)
    cells = [divmod(cell, 4) for cell in max(parts, key=len)]
    rows, columns = [row for row, _ in cells], [column for _, column in cells]
    box = np.zeros((64, 64), dtype=bool)
    box[min(rows) * 16 : max(rows) * 16 + 16, min(columns) * 16 : max(columns) * 16 + 16] = True
    return float((box & square).sum() / (box | square).sum())


def test_the_layout_of_pascal_brings_its_own_images(scene: Scene, tmp_path: Path) -> None:
    write_truths(scene, tmp_path / "truths")
    voc = tmp_path / "voc"
    for name, ending in (("JPEGImages", "jpg"), ("SegmentationClass", "png"), ("Annotations", "xml")):
        (voc / name).mkdir(parents=True)
        for number, file in enumerate(files_of(scene)[:3]):
            if ending == "jpg":
                Image.open(file).resize((128, 128)).save(voc / name / f"voc{number}.jpg", quality=95)
            else:
                (tmp_path / f"truths/{file.stem}.{ending}").rename(voc / name / f"voc{number}.{ending}")
    Image.new("RGB", (64, 64)).save(voc / "JPEGImages/alone.jpg")
    found = attention.measure(of(scene, masks=str(voc), boxes=str(voc)))
    assert (found["masks"]["images"], found["boxes"]["images"]) == (3, 3)
    assert "1 image has no mask: left out" in found["notes"]
    few = attention.measure(of(scene, masks=str(voc), limit=2))
    assert few["masks"]["images"] == 2 and few["images"] == 2


def test_images_of_one_name_in_several_folders_have_their_own_truths(tmp_path: Path) -> None:
    images = [tmp_path / f"images/{name}/1.png" for name in ("cat", "dog")]
    truths = tmp_path / "truths"
    for name in ("cat", "dog"):
        (truths / name).mkdir(parents=True)
        (truths / name / "1.xml").touch()
    assert with_boxes(truths, images).truths == [truths / "cat/1.xml", truths / "dog/1.xml"]
    (truths / "cat/1.xml").rename(truths / "1.xml")
    with pytest.raises(
        UserError, match="2 images and 2 XML files are called 1: put the XML files into folders"
    ):
        with_boxes(truths, images)
    (truths / "dog/1.xml").unlink()
    with pytest.raises(UserError, match="2 images and 1 XML file are called 1"):
        with_boxes(truths, images)
    assert with_boxes(truths, images[:1]).truths == [truths / "1.xml"]


def test_truths_are_seen_as_the_network_sees_images(tmp_path: Path) -> None:
    values = np.zeros((40, 80), dtype=np.uint8)
    values[10:20, 40:60] = 3  # in the middle 40 x 40: columns 20 to 40
    values[0:10, 0:5] = 4  # cut off
    values[39] = 255
    Image.fromarray(values).save(tmp_path / "mask.png")
    masks, void = object_masks(tmp_path / "mask.png", Form(20, 3, "cut"), 20)
    wanted = torch.zeros(20, 20, dtype=torch.bool)
    wanted[5:10, 10:20] = True
    assert masks.shape == (1, 20, 20) and torch.equal(masks[0], wanted)
    squashed, _ = object_masks(tmp_path / "mask.png", Form(20, 3, "squash"), 20)
    assert len(squashed) == 2 and squashed[0, 5:10, 10:15].all()
    cropped, _ = object_masks(tmp_path / "mask.png", Form(20, 3, "cut"), 10)
    assert torch.equal(cropped[0], wanted[5:15, 5:15])
    (tmp_path / "box.xml").write_text(XML.format(w=80, h=40, x0=41, y0=11, x1=60, y1=20))
    assert object_boxes(tmp_path / "box.xml", Form(20, 3, "cut"), 20).tolist() == [[10, 5, 20, 10]]
    (tmp_path / "far.xml").write_text(XML.format(w=80, h=40, x0=1, y0=1, x1=5, y1=5))
    assert len(object_boxes(tmp_path / "far.xml", Form(20, 3, "cut"), 20)) == 0


def test_rows_and_picture(scene: Scene, tmp_path: Path) -> None:
    write_truths(scene, tmp_path / "truths")
    found = attention.measure(of(scene, masks=str(tmp_path / "truths"), boxes=str(tmp_path / "truths")))
    said = dict(attention.rows(found))
    assert said["images"] == f"8 images; mean over {found['heads']} heads"
    assert said["Jaccard index with masks"].endswith("% of 8 images")
    assert said["boxes with an overlap of at least 50 %"].endswith("% of 8 images")
    assert "60 % would be even" in said["patches that hold 60 % of the attention"]
    figure = attention.draw(found)
    assert figure is not None and len(figure.axes) == 2 * 6 + 1
    assert len(found["shown"]) == 6 and np.mean(found["shown"][0]["attention"]) == pytest.approx(1, abs=1e-3)


def test_what_is_missing_is_said(scene: Scene, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere"):
        attention.measure(of(scene, masks=str(tmp_path / "nowhere")))
    (tmp_path / "other").mkdir()
    Image.new("L", (64, 64), 1).save(tmp_path / "other/another.png")
    with pytest.raises(UserError, match="none of 1 mask in .* is named like one of 8 images"):
        attention.measure(of(scene, masks=str(tmp_path / "other")))
    write_truths(scene, tmp_path / "truths")
    for file in (tmp_path / "truths").glob("*.xml"):
        file.write_text("<annotation><size/></annotation>")
    with pytest.raises(UserError, match="expected XML with size/width"):
        attention.measure(of(scene, boxes=str(tmp_path / "truths")))
    for file in (tmp_path / "truths").glob("*.png"):
        Image.new("L", (64, 64)).save(file)
    with pytest.raises(UserError, match="no mask shows an object"):
        attention.measure(of(scene, masks=str(tmp_path / "truths")))


def test_a_network_without_attention_is_refused_in_a_sentence(tmp_path: Path) -> None:
    digits = digits_scene(tmp_path / "digits")
    with pytest.raises(UserError, match="no vision transformer with a class token"):
        attention.measure(digits)
