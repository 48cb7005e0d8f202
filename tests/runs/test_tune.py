"""One word for what of a network is trained."""

from typing import Any

import pytest
import timm
import torch
from torch import nn

from ssl_mix.errors import UserError
from ssl_mix.models import adapt
from ssl_mix.recipes.build import build_run
from ssl_mix.runs.given import Given
from ssl_mix.runs.net_options import NetOptions
from ssl_mix.runs.prepared import prepare

SHAPE = (3, 32, 32)
DIGITS: dict[str, Any] = {
    "data": "digits",
    "labels": 40,
    "net": "small-cnn",
    "pretrained": "none",
    "batch_size": 4,
    "steps": 2,
    "threads": 1,
}


def trained_names(name: str, word: str) -> tuple[set[str], set[str]]:
    """The names of what is trained, and of everything."""
    options = NetOptions(net=name, tune=word)
    net = options.tuned(options.build(SHAPE, 4, 0), SHAPE, 0)
    named = {n.removeprefix("body."): p for n, p in net.named_parameters()}
    return {n for n, p in named.items() if p.requires_grad}, set(named)


def test_norms_alone_are_trained() -> None:
    trained, every = trained_names("small-cnn", "norms")
    assert trained == {
        n for n in every if n.startswith("head.") or n[:8] in ("blocks.1", "blocks.4", "blocks.7")
    }


@pytest.mark.parametrize(
    ("name", "word", "kept"),
    [
        ("torchvision:resnet18", "stages:1", ("conv1.", "bn1.", "layer1.", "layer2.", "layer3.")),
        ("torchvision:resnet18", "stages:3", ("conv1.", "bn1.", "layer1.")),
        ("torchvision:resnet18", "stages:4", ("conv1.", "bn1.")),
        ("timm:resnet18", "stages:2", ("conv1.", "bn1.", "layer1.", "layer2.")),
        ("small-cnn", "stages:1", tuple(f"blocks.{place}." for place in range(6))),
        ("wrn-28-1", "stages:2", ("stem.", *(f"blocks.{place}." for place in range(4)))),
        (
            "timm:vit_tiny_patch16_224",
            "stages:2",
            ("cls_token", "pos_embed", "patch_embed.", *(f"blocks.{place}." for place in range(10))),
        ),
        (
            "timm:tf_efficientnet_lite0",  # whose second and third group of blocks make a stage together
            "stages:1",
            ("conv_stem.", "bn1.", *(f"blocks.{place}." for place in range(5))),
        ),
    ],
)
def test_the_last_stages_are_trained_with_what_follows_them(
    name: str, word: str, kept: tuple[str, ...]
) -> None:
    trained, every = trained_names(name, word)
    assert trained == {n for n in every if not n.startswith(kept)} != set()


@pytest.mark.parametrize(("name", "word"), [("small-cnn", "stages:4"), ("torchvision:vgg11", "stages:1")])
def test_more_stages_than_there_are_are_refused(name: str, word: str) -> None:
    with pytest.raises(UserError, match=f"{word}.* names (3|none)"):
        trained_names(name, word)


@pytest.mark.parametrize(
    "word", ["stages", "stages:", "stages:0", "stages:-1", "stages:N", "body", "lora:2x"]
)
def test_other_words_are_refused(word: str) -> None:
    with pytest.raises(UserError, match="tune must be one of head, norms, lora, all, stages:1"):
        NetOptions(tune=word)


@pytest.mark.parametrize("word", ["norms", "stages:1"])
def test_of_a_network_that_is_handed_over_no_more_is_trained(word: str) -> None:
    net = timm.create_model("resnet18", num_classes=10, in_chans=1)
    run = build_run("fine-tuning", {**DIGITS, "net": None, "tune": word}).run
    found = prepare(run, Given(net=net))
    trained = {n for n, p in found.trainer.student.named_parameters() if p.requires_grad}
    options = NetOptions(tune=word)
    alone = options.tuned(adapt(timm.create_model("resnet18", num_classes=10, in_chans=1)), (1, 8, 8), 0)
    assert trained == {n for n, p in alone.named_parameters() if p.requires_grad}
    assert 0 < len(trained) < len(list(alone.parameters()))


def test_the_number_of_weights_that_are_trained_is_told() -> None:
    found = prepare(build_run("supervised", {**DIGITS, "tune": "norms"}).run)
    assert "970 of 56,554 weights are trained (`tune=norms`)" in found.notes
    assert not any("are trained" in note for note in prepare(build_run("supervised", DIGITS).run).notes)


def test_frozen_stages_keep_their_statistics_and_the_others_move_theirs() -> None:
    options = NetOptions(net="small-cnn", tune="stages:1")
    net = options.tuned(options.build(SHAPE, 4, 0), SHAPE, 0).train()
    before = {n: b.clone() for n, b in net.named_buffers()}
    net(torch.rand(4, *SHAPE))
    moved = {n for n, b in net.named_buffers() if not torch.equal(b, before[n])}
    assert moved == {f"blocks.7.{n}" for n in ("running_mean", "running_var", "num_batches_tracked")}
    assert isinstance(net.get_submodule("blocks.1"), nn.BatchNorm2d)
