"""Sharpening and threshold of UDA."""

import ssl_reference as reference
import torch
from ssl_scene import Scene


def test_temperature_of_uda_changes_the_loss_and_not_the_mask() -> None:
    sharp, flat_ = (Scene("uda", threshold=0.6, temperature=t).run() for t in (0.2, 1.0))
    assert abs(sharp.metrics["loss/unlabeled"] - flat_.metrics["loss/unlabeled"]) > 0.01
    assert torch.equal(sharp.pseudo.mask, flat_.pseudo.mask)


def test_threshold_of_uda_comes_before_sharpening() -> None:
    scene = Scene("uda", temperature=0.1, threshold=0.8, scale=0.5)
    p = reference.softmax(scene.logits()["weak"])
    assert (p.max(axis=1) < 0.8).all() and (reference.sharpen(p, 0.1).max(axis=1) > 0.8).any()
    assert scene.run().metrics["loss/unlabeled"].item() == 0
