"""Runs that learn from masks: better than without training, the same after a stop, refused in a sentence."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from segmentation_scene import write_mask, write_scenes

from ssl_mix.cli.main import main
from ssl_mix.errors import UserError
from ssl_mix.segmentation import SegmentationOptions, resume_segmentation, start_segmentation
from ssl_mix.segmentation.data import read_mask
from ssl_mix.segmentation.run import PROBE


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    images, masks = write_scenes(tmp_path_factory.mktemp("scenes"), 24)
    return str(images), str(masks)


def options(scenes: tuple[str, str], **given: Any) -> SegmentationOptions:
    plain = {"net": "timm:test_vit", "image_size": 64, "steps": 4, "batch_size": 4, "device": "cpu"}
    return SegmentationOptions(images=scenes[0], masks=scenes[1], **{**plain, **given})


@pytest.mark.slow
def test_shapes_are_found(scenes: tuple[str, str], tmp_path: Path) -> None:
    """Far better than by the commonest class, and better than by a linear head on random features."""
    wanted = options(scenes, head="linear", steps=60, batch_size=8, lr=6e-3)
    run = start_segmentation(wanted, tmp_path / "run")
    [common, probed] = run.baselines.values()
    for _ in run.session.records():
        pass
    score = run.finish()
    assert common.mean_iou < 0.3
    assert score.mean_iou > 0.65
    assert score.mean_iou > probed.mean_iou
    written = json.loads((tmp_path / "run/segmentation.json").read_text())
    assert written["mean_iou"] == score.mean_iou
    assert written["baselines"][PROBE]["class_ious"] == probed.class_ious
    assert (tmp_path / "run/segmentation.png").stat().st_size > 1000


def test_a_stopped_run_ends_with_the_same_bits(scenes: tuple[str, str], tmp_path: Path) -> None:
    whole = start_segmentation(options(scenes), tmp_path / "whole")
    for _ in whole.session.records():
        pass
    stopped = start_segmentation(options(scenes), tmp_path / "stopped")
    for _ in stopped.session.steps():
        if stopped.session.trainer.step == 2:
            break
    resumed = resume_segmentation(tmp_path / "stopped")
    assert resumed.session.trainer.step == 2
    assert resumed.baselines == whole.baselines
    for _ in resumed.session.records():
        pass
    for name, value in whole.session.trainer.student.state_dict().items():
        assert torch.equal(value, resumed.session.trainer.student.state_dict()[name]), name
    assert resumed.finish() == whole.finish()


def test_other_masks_are_not_gone_on_with(tmp_path: Path) -> None:
    images, masks = write_scenes(tmp_path / "scenes", 6)
    start_segmentation(options((str(images), str(masks))), tmp_path / "run")
    write_mask(masks / "00.png", np.full((64, 64), 2, dtype=np.uint8))
    with pytest.raises(UserError, match="are not those that it began with"):
        resume_segmentation(tmp_path / "run")


def test_the_class_head_stays_and_the_body_learns(scenes: tuple[str, str], tmp_path: Path) -> None:
    trainer = start_segmentation(options(scenes), tmp_path / "run").session.trainer
    before = {name: value.clone() for name, value in trainer.student.state_dict().items()}
    for _ in trainer.fit():
        pass
    same = {name for name, value in trainer.student.state_dict().items() if torch.equal(value, before[name])}
    assert same == {"body.head.weight", "body.head.bias"}
    fast = [p for g in trainer.optimizer.param_groups if g["factor"] == 10 for p in g["params"]]
    assert {*map(id, fast)} == {*map(id, trainer.student.segmenter.parameters())}


def test_the_command_starts_from_a_run(
    scenes: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = "train supervised --data caltech-mini --net timm:test_vit --pretrained none --steps 1"
    main([*first.split(), "--batch-size", "2", "--device", "cpu", "--out", f"{tmp_path}/vit"])
    capsys.readouterr()
    words = ["transfer", "segmentation", "--images", scenes[0], "--masks", scenes[1], "--steps", "2"]
    words += ["--image-size", "80", "--batch-size", "4", "--device", "cpu", "--out", f"{tmp_path}/masks"]
    main([*words, "--from", f"{tmp_path}/vit"])
    said = capsys.readouterr()
    assert "19 images to learn from, 5 to score on, 3 classes, 80 pixels" in said.out
    for name in ("every pixel class 0", PROBE, "trained, step 2", "class 2"):
        assert name in said.out
    description = json.loads((tmp_path / "masks/config.json").read_text())
    assert description["options"]["net"] == "timm:test_vit"
    with pytest.raises(SystemExit, match="2"):
        main([*words, "--overwrite", "--from", f"{tmp_path}/vit", "--net", "timm:test_vit"])
    assert "--from names network and weights" in capsys.readouterr().err
    main(["resume", f"{tmp_path}/masks"])
    assert "trained, step 2" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="2"):
        main(["resume", f"{tmp_path}/masks", "--steps", "4"])
    assert "a transfer goes on as it began" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"net": None}, "no network is named: give `from=RUN`"),
        ({"net": "small-cnn"}, "needs a network of timm"),
        ({"num_classes": 2}, "holds the number 2, and 2 classes are 0 to 1"),
        ({"num_classes": 300}, r"num_classes must lie in \[2, 255\], got 300"),
        ({"held_out": 1.0}, "held_out must lie between 0 and 1"),
        ({"image_size": 50}, "multiple of the 16 pixels"),
        ({"device": "tpu"}, "device must be auto, cpu or cuda"),
        ({"head": "cubic"}, "head must be one of"),
        ({"steps": 0}, "steps must be above 0"),
    ],
)
def test_options_that_cannot_be_are_refused(
    given: dict[str, Any], said: str, scenes: tuple[str, str], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=said):
        start_segmentation(options(scenes, **given), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_masks_of_black_and_white_are_explained(tmp_path: Path) -> None:
    images, masks = write_scenes(tmp_path, 4)
    for file in masks.iterdir():
        write_mask(file, np.where(read_mask(file).numpy() > 0, 255, 0).astype(np.uint8))
    with pytest.raises(UserError, match="no number but 0 and 255, which is void"):
        start_segmentation(options((str(images), str(masks))), tmp_path / "run")
