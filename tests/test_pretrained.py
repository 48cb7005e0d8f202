"""Starting from weights: files, runs, the head, and what is frozen."""

import json
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file
from sessions import train
from torch import nn

from ssl_mix import TrainConfig, Trainer
from ssl_mix.algorithms import FixMatch, Supervised
from ssl_mix.datasets import choose_split, load_digits_data
from ssl_mix.errors import UserError
from ssl_mix.models import build_model
from ssl_mix.models.pretrained import load_pretrained, loading_notes, source_classifier
from ssl_mix.passes import batch_statistics, frozen_running_statistics
from ssl_mix.runs.answered import evaluate
from ssl_mix.runs.data_options import DataOptions
from ssl_mix.runs.net_options import NetOptions
from ssl_mix.runs.run import Run
from ssl_mix.runs.session import reopen, start
from ssl_mix.runs.trained import load_trained

CONFIG = TrainConfig(steps=3, batch_size=8, eval_every=3, threads=1)
PICTURES = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def random_net(name: str, classes: int) -> nn.Module:
    """A network of a library, in evaluation mode, with running statistics that differ from the initial
    ones."""
    torch.manual_seed(1)
    if name.startswith("timm:"):
        net: nn.Module = timm.create_model(name.removeprefix("timm:"), num_classes=classes)
    else:
        net = torchvision.models.get_model(name.removeprefix("torchvision:"), num_classes=classes)
    for buffer in net.buffers():
        if buffer.is_floating_point():
            buffer.uniform_(0.5, 1.5)
    return net.eval()


@pytest.mark.parametrize("name", ["timm:resnet18", "torchvision:resnet18", "torchvision:mobilenet_v3_small"])
@pytest.mark.parametrize(
    ("suffix", "wrapper", "prefix"),
    [(".pth", None, ""), (".pt", "state_dict", "module."), (".pth", "model", ""), (".safetensors", None, "")],
)
def test_a_file_gives_the_weights_of_the_library_and_the_source_head(
    name: str, suffix: str, wrapper: str | None, prefix: str, tmp_path: Path
) -> None:
    theirs = random_net(name, 7)
    state = {f"{prefix}{key}": value for key, value in theirs.state_dict().items()}
    path = tmp_path / f"weights{suffix}"
    if suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save({wrapper: state, "epoch": 3} if wrapper else state, path)
    net = build_model(name, 5, pretrained=str(path)).eval()
    assert "source_head" not in dict(net.named_modules())
    assert net.state_dict().keys() == build_model(name, 5).state_dict().keys()
    assert net(PICTURES).shape == (2, 5)
    source = source_classifier(net)
    assert source is not None
    torch.testing.assert_close(source(net.features(PICTURES)), theirs(PICTURES))  # type: ignore[operator]
    [note] = loading_notes(net)
    assert "head is new" in note and "5 classes" in note and "[7, " in note


def test_a_head_of_the_same_shape_is_kept(tmp_path: Path) -> None:
    theirs = random_net("torchvision:resnet18", 5)
    torch.save(theirs.state_dict(), tmp_path / "weights.pth")
    net = build_model("torchvision:resnet18", 5, pretrained=str(tmp_path / "weights.pth")).eval()
    assert torch.equal(net(PICTURES), theirs(PICTURES))
    assert "not new" in " ".join(loading_notes(net))
    source = source_classifier(net)
    assert source is not None and source.weight is not net.head.weight  # type: ignore[union-attr]


def test_a_backbone_without_a_head_gets_one(tmp_path: Path) -> None:
    theirs = random_net("timm:resnet18", 7).state_dict()
    kept = {f"module.backbone.{name}": v for name, v in theirs.items() if not name.startswith("fc.")}
    long_ago = {name: v for name, v in kept.items() if not name.endswith("num_batches_tracked")}
    torch.save(long_ago, tmp_path / "weights.pth")
    found = load_pretrained(build_model("timm:resnet18", 5), tmp_path / "weights.pth")
    assert found.source_head is None and "no classifier" in found.notes[0]
    assert torch.equal(found.net.state_dict()["body.layer4.1.conv2.weight"], theirs["layer4.1.conv2.weight"])


def spoiled(state: dict[str, Any], change: str) -> dict[str, Any]:
    if change == "missing":
        del state["blocks.3.weight"]
    elif change == "shape":
        state["blocks.3.weight"] = torch.zeros(64, 16, 3, 3)
    elif change == "no tensors":
        state = {"blocks.3.weight": 1.0}
    elif change == "code":
        state["blocks.3.weight"] = Path("weights")
    return state


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("missing", r"blocks\.3\.weight is missing"),
        ("shape", r"blocks\.3\.weight should have shape \[64, 32, 3, 3\], has \[64, 16, 3, 3\]"),
        ("no tensors", "holds no state dict"),
        ("code", r"torch\.save\(net\.state_dict\(\)"),
    ],
)
def test_weights_that_do_not_fit_are_refused(change: str, words: str, tmp_path: Path) -> None:
    torch.save(spoiled(build_model("small-cnn", 4).state_dict(), change), tmp_path / "weights.pth")
    net = build_model("small-cnn", 4)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with pytest.raises(UserError, match=words):
        load_pretrained(net, tmp_path / "weights.pth")
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


@pytest.mark.parametrize("wrapper", [None, "state_dict"])
@pytest.mark.parametrize("size", [64, 192])
def test_position_embeddings_are_resampled_as_timm_does(
    size: int, wrapper: str | None, tmp_path: Path
) -> None:
    state, path = random_net("timm:test_vit", 4).state_dict(), tmp_path / "weights.pth"
    torch.save(state, tmp_path / "bare.pth")
    torch.save(state if wrapper is None else {wrapper: state}, path)
    from_file = {"file": str(tmp_path / "bare.pth"), "num_classes": 4}
    options: dict[str, Any] = {"pretrained": True, "pretrained_cfg_overlay": from_file}
    theirs = timm.create_model("test_vit", num_classes=4, img_size=size, **options).eval()
    ours = load_pretrained(build_model("timm:test_vit", 4, image_size=size), path).net.eval()
    images = torch.randn(2, 3, size, size)
    torch.testing.assert_close(ours(images), theirs(images), rtol=0, atol=1e-6)


def test_weights_for_other_images_say_so(tmp_path: Path) -> None:
    state = timm.create_model("test_vit", num_classes=4).state_dict()
    no_square = {**state, "pos_embed": state["pos_embed"][:, :-1]}
    for weights, options, words in (
        (
            no_square,
            {"image_size": 64},
            r"has \[1, 100, 64\]: the weights are for images of another size, leave out",
        ),
        (state, {"channels": 1}, "for images of 3 channels, repeat a gray one where these have one"),
    ):
        torch.save(weights, tmp_path / "weights.pth")
        net = build_model("timm:test_vit", 4, **options)
        with pytest.raises(UserError, match=words):
            load_pretrained(net, tmp_path / "weights.pth")


def test_a_missing_weight_of_a_library_is_named_as_there(tmp_path: Path) -> None:
    state = timm.create_model("resnet18", num_classes=4).state_dict()
    del state["layer1.0.conv1.weight"]
    torch.save(state, tmp_path / "weights.pth")
    words = (
        r": layer1\.0\.conv1\.weight is missing\. It holds bare: 121 tensors, conv1\.weight \[64, 3, 7, 7\]"
    )
    with pytest.raises(UserError, match=words):
        build_model("timm:resnet18", 4, pretrained=str(tmp_path / "weights.pth"))


@pytest.mark.parametrize(("name", "words"), [("gone.pth", "is not there"), ("notes.txt", r"\.safetensors")])
def test_files_that_are_none_are_refused(name: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no weights")
    with pytest.raises(UserError, match=words):
        build_model("small-cnn", 4, pretrained=str(tmp_path / name))


def test_without_a_network_default_weights_say_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def offline(*_: object, **__: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr("socket.getaddrinfo", offline)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(UserError, match="`pretrained=FILE`.*`pretrained=none`"):
        build_model("torchvision:resnet18", 4, pretrained="default")


@pytest.mark.parametrize("name", ["timm:resnet18", "torchvision:resnet18"])
def test_default_weights_keep_their_classifier_beside_the_network(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = random_net(name, 1000)
    kept = {key: value.clone() for key, value in theirs.state_dict().items()}
    expected = theirs(PICTURES)
    originals = {"timm": timm.create_model, "torchvision": torchvision.models.get_model}

    def fetch(original: Any) -> Any:
        def make(*given: Any, pretrained: bool = False, weights: Any = None, **options: Any) -> nn.Module:
            made: nn.Module = original(*given, **options)
            if pretrained or weights:
                made.load_state_dict(kept)
            return made

        return make

    monkeypatch.setattr("ssl_mix.models.from_timm.check_hub", lambda _: None)
    monkeypatch.setattr("timm.create_model", fetch(originals["timm"]))
    monkeypatch.setattr("torchvision.models.get_model", fetch(originals["torchvision"]))
    net = build_model(name, 4, pretrained="default").eval()
    source = source_classifier(net)
    assert source is not None and net(PICTURES).shape == (2, 4)
    torch.testing.assert_close(source(net.features(PICTURES)), expected)  # type: ignore[operator]


@pytest.fixture(scope="module")
def digits_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three steps on ten classes."""
    folder = tmp_path_factory.mktemp("source") / "run"
    options = DataOptions(data="digits", labels_per_class=4)
    train(start(Run(Supervised(), options, NetOptions(), CONFIG), folder))
    return folder


def test_a_run_gives_its_network_and_the_weights_of_its_teacher(digits_run: Path) -> None:
    options = NetOptions(pretrained=str(digits_run))
    teacher = load_trained(digits_run, "cpu").net
    same, other = (options.build((1, 8, 8), classes, 0) for classes in (10, 4))
    assert all(torch.equal(v, teacher.state_dict()[name]) for name, v in same.state_dict().items())
    assert all(
        torch.equal(v, teacher.state_dict()[name])
        for name, v in other.state_dict().items()
        if not name.startswith("head.")
    )
    source = source_classifier(other)
    assert source is not None and torch.equal(source.weight, teacher.head.weight)  # type: ignore[arg-type,union-attr]
    again = options.build((1, 8, 8), 4, 0)
    assert torch.equal(other.head.weight, again.head.weight)  # type: ignore[arg-type,union-attr]


def test_the_classifier_of_a_run_serves_the_same_classes_alone(digits_run: Path) -> None:
    options = NetOptions(pretrained=str(digits_run))
    digits = [str(digit) for digit in range(10)]
    same, other = (options.build((1, 8, 8), 10, 0, classes) for classes in (digits, "abcdefghij"))
    again = options.build((1, 8, 8), 10, 0, "abcdefghij")
    source = source_classifier(other)
    assert source is not None and torch.equal(source.weight, same.head.weight)  # type: ignore[arg-type,union-attr]
    assert torch.equal(other.head.weight, again.head.weight)  # type: ignore[arg-type,union-attr]
    assert not torch.equal(other.head.weight, source.weight)  # type: ignore[arg-type]
    assert "the head is new" in loading_notes(other)[0] and "not new" in loading_notes(same)[0]


def test_a_run_of_another_network_is_refused(digits_run: Path) -> None:
    with pytest.raises(UserError, match="run of small-cnn, not of wrn-28-1"):
        NetOptions(net="wrn-28-1", pretrained=str(digits_run)).build((1, 8, 8), 10, 0)


def test_a_run_from_a_run_is_described_started_and_reopened(
    digits_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(digits_run.parent)
    options = DataOptions(data="digits", labels_per_class=4)
    opened = start(Run(Supervised(), options, NetOptions(pretrained="run"), CONFIG), tmp_path / "new")
    assert opened.trainer.step == 0 and any("head" in note and "not new" in note for note in opened.notes)
    stored = json.loads((tmp_path / "new" / "config.json").read_text())["net"]
    assert stored["net"] == "small-cnn" and stored["pretrained"] == str(digits_run)
    train(opened)
    monkeypatch.chdir(tmp_path)
    assert reopen(tmp_path / "new").trainer.step == 3


@pytest.mark.parametrize("name", ["small-cnn", "timm:resnet18"])
def test_a_folder_called_like_a_network_does_not_hide_it(
    name: str, digits_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / name).symlink_to(digits_run)
    monkeypatch.chdir(tmp_path)
    assert NetOptions(net=name).resolved() == NetOptions(net=name, pretrained="none", norms="training")
    assert NetOptions(net=f"./{name}").resolved() == NetOptions(
        net="small-cnn", pretrained=str(tmp_path / name), norms="frozen"
    )


def frozen_trainer(algorithm: Any, **options: Any) -> Trainer:
    data = load_digits_data()
    split = choose_split(data.train.labels, 10, per_class=4, seed=0, classes=data.classes)
    chosen = NetOptions(net="small-cnn", **options)
    net = chosen.tuned(chosen.build((1, 8, 8), 10, 0), (1, 8, 8), 0)
    return Trainer(algorithm, net, data, split, TrainConfig(steps=4, batch_size=8, weight_decay=0.1))


@pytest.mark.parametrize("make", [Supervised, FixMatch, lambda: Supervised(mixing="mixup")])
def test_a_frozen_stage_stays_to_the_bit_and_the_rest_learns(make: Any) -> None:
    trainer = frozen_trainer(make(), tune="stages:1")
    before = {name: value.clone() for name, value in trainer.student.state_dict().items()}
    trainer.student.train()
    list(trainer.fit())
    frozen = tuple(f"blocks.{number}." for number in range(6))
    for net in (trainer.student, trainer.teacher.net):
        for name, value in net.state_dict().items():
            assert torch.equal(value, before[name]) == name.startswith(frozen), name
    trained = {id(p) for group in trainer.optimizer.param_groups for p in group["params"]}
    expected = {id(p) for n, p in trainer.student.named_parameters() if not n.startswith(frozen)}
    assert trained == expected


@pytest.mark.parametrize("make", [Supervised, FixMatch])
def test_frozen_norms_keep_every_running_statistic_and_learn_the_weights(make: Any) -> None:
    trainer = frozen_trainer(make(), norms="frozen")
    before = {name: value.clone() for name, value in trainer.student.state_dict().items()}
    list(trainer.fit())
    buffers = {name for name, _ in trainer.student.named_buffers()}
    for name, value in trainer.student.state_dict().items():
        assert torch.equal(value, before[name]) == (name in buffers), name


def test_a_network_with_frozen_norms_computes_in_training_what_it_does_in_evaluation() -> None:
    options = NetOptions(net="small-cnn", norms="frozen")
    net = options.tuned(options.build((3, 32, 32), 4, 0), (3, 32, 32), 0)
    expected = net.eval()(PICTURES)
    assert torch.equal(net.train()(PICTURES), expected)
    with frozen_running_statistics(net):
        assert torch.equal(net(PICTURES), expected)
    with batch_statistics(net.eval()):
        assert torch.equal(net(PICTURES), expected)


def test_a_trained_run_is_used_without_the_weights_it_started_from(tmp_path: Path) -> None:
    """The file may be gone: the checkpoint holds everything."""
    net = build_model("small-cnn", 7, channels=1)
    torch.save(net.state_dict(), tmp_path / "weights.pth")
    options = NetOptions(net="small-cnn", pretrained=str(tmp_path / "weights.pth"))
    run = Run(
        Supervised(), DataOptions(data="digits", labels=20), options, TrainConfig(steps=2, batch_size=4)
    )
    train(start(run, tmp_path / "run"))
    (tmp_path / "weights.pth").unlink()
    assert 0 <= evaluate(load_trained(tmp_path / "run")).accuracy <= 1
