"""Files of weights as others write them: prefixes, entries, averages, pickled networks, and what is none."""

import argparse
import copy
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from ssl_mix.errors import UserError
from ssl_mix.models import SmallCNN, adapt
from ssl_mix.models.pretrained import load_pretrained

State = dict[str, Tensor]


def state_of(seed: int, classes: int = 4) -> State:
    """The state dict of a small network with its own weights and statistics."""
    torch.manual_seed(seed)
    net = SmallCNN(classes)
    for value in net.buffers():
        if value.is_floating_point():
            value.uniform_(0.5, 1.5)
    return net.state_dict()


def loaded(content: Any, folder: Path, name: str = "weights.pth") -> tuple[State, str]:
    """What a network gets from a file with that content, and what is said of it."""
    torch.save(content, folder / name)
    found = load_pretrained(SmallCNN(4), folder / name)
    return found.net.state_dict(), " ".join(found.notes)


def same(found: State, expected: State) -> bool:
    return all(torch.equal(found[name], value) for name, value in expected.items())


def under(prefix: str, state: State) -> State:
    return {f"{prefix}{name}": value for name, value in state.items()}


@pytest.mark.parametrize(
    "prefix",
    [
        "module.",
        "_orig_mod.",
        "module._orig_mod.",
        "_orig_mod.module.",
        "model.",
        "backbone.",
        "encoder.",
        "net.",
        "student.",
        "model.backbone._orig_mod.",
        "module.student.backbone.",
        "trunk.0.",
    ],
)
@pytest.mark.parametrize("entry", [None, "state_dict", "model", "network"])
def test_names_may_begin_with_anything_under_any_entry(
    prefix: str, entry: str | None, tmp_path: Path
) -> None:
    state = state_of(1)
    content: Any = under(prefix, state)
    found, note = loaded({entry: content, "epoch": 3} if entry else content, tmp_path)
    assert same(found, state) and "not new" in note and "no place" not in note


def test_parts_that_were_compiled_alone_are_found(tmp_path: Path) -> None:
    state = state_of(1)
    inner = {name.replace("blocks.", "blocks._orig_mod."): value for name, value in state.items()}
    assert inner.keys() != state.keys() and same(loaded(inner, tmp_path)[0], state)


@pytest.mark.parametrize(
    "entry",
    ["state_dict_ema", "model_ema", "ema_state_dict", "ema_model", "teacher", "ema", "averaged_model"],
)
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_moving_average_goes_first_and_that_is_said(
    entry: str, first: bool, prefix: str, tmp_path: Path
) -> None:
    plain, average = state_of(1), state_of(2)
    entries = [("model", plain), (entry, under(prefix, average))]
    found, note = loaded(dict(entries[::-1] if first else entries), tmp_path)
    assert same(found, average)
    assert f"the moving average in {tmp_path}" in note and f"'{entry}" in note
    assert "not 'model', which would fit too" in note


def test_a_moving_average_within_one_state_dict_goes_first_too(tmp_path: Path) -> None:
    plain, average = state_of(1), state_of(2)
    both = {**under("student.backbone.", plain), **under("teacher.backbone.", average)}
    found, note = loaded({"state_dict": both, "hyper_parameters": {"lr": 0.1}}, tmp_path, "last.ckpt")
    assert same(found, average) and "`state_dict.teacher.backbone`" in note


def test_a_moving_average_that_is_not_whole_is_passed_over(tmp_path: Path) -> None:
    plain, average = state_of(1), {n: v for n, v in state_of(2).items() if "running" not in n}
    found, note = loaded({"model": plain, "model_ema": average}, tmp_path)
    assert same(found, plain) and "moving average" not in note


def test_of_two_parts_that_fit_it_is_said_which_was_taken(tmp_path: Path) -> None:
    found, note = loaded({"encoder_q": state_of(1), "encoder_k": state_of(2)}, tmp_path)
    assert same(found, state_of(1)) and "the weights are `encoder_q`" in note and "`encoder_k`" in note


def test_safetensors_are_found_under_prefixes_too(tmp_path: Path) -> None:
    state = state_of(1)
    save_file({**under("model.", state), **under("ema.module.", state_of(2))}, tmp_path / "w.safetensors")
    assert same(load_pretrained(SmallCNN(4), tmp_path / "w.safetensors").net.state_dict(), state_of(2))


def test_options_of_scripts_beside_the_weights_are_no_hindrance(tmp_path: Path) -> None:
    """As timm's and Lightning's checkpoints hold them."""
    state = state_of(1)
    content = {
        "state_dict": under("module.", state),
        "args": argparse.Namespace(lr=0.1, out=Path("x")),
        "hyper_parameters": {"net": argparse.Namespace(name="cnn")},
        "optimizer": {"state": {0: {"momentum_buffer": torch.zeros(3)}}, "param_groups": []},
    }
    assert same(loaded(content, tmp_path)[0], state)


def a_class_that_is_gone(name: str) -> type[nn.Module]:
    """A network whose class cannot be imported when its pickled form is read."""
    module = types.ModuleType("gone_with_its_script")
    cls = type(name, (SmallCNN,), {"__module__": module.__name__})
    setattr(module, name, cls)
    sys.modules[module.__name__] = module
    return cls


@pytest.mark.parametrize("entry", [None, "model"])
def test_of_a_pickled_network_the_weights_are_read_and_no_code_is_run(
    entry: str | None, tmp_path: Path
) -> None:
    state = state_of(1)
    net = a_class_that_is_gone("Net")(4)
    net.load_state_dict(state)
    torch.save({entry: net, "epoch": 1} if entry else net, tmp_path / "net.pt")
    del sys.modules["gone_with_its_script"]
    found = load_pretrained(SmallCNN(4), tmp_path / "net.pt")
    assert same(found.net.state_dict(), state)
    assert "gone_with_its_script" not in sys.modules


class Running:
    """Would run code when it is unpickled."""

    def __reduce__(self) -> Any:
        return (print, ("this must not be run",))


def test_nothing_in_a_file_is_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = state_of(1)
    safe = set(torch.serialization.get_safe_globals())
    assert same(loaded({"state_dict": state, "callback": Running()}, tmp_path)[0], state)
    assert "must not be run" not in capsys.readouterr().out
    assert set(torch.serialization.get_safe_globals()) == safe


class Namesakes(nn.Module):
    """A layer whose name ends like that of the head."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.ModuleDict({"fc": nn.Linear(3, 6)})
        self.fc = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.inner["fc"](x.mean((2, 3))))  # type: ignore[no-any-return]


def test_a_layer_that_is_called_like_the_head_is_needed_all_the_same(tmp_path: Path) -> None:
    state = Namesakes().state_dict()
    torch.save({name: value for name, value in state.items() if "inner" not in name}, tmp_path / "w.pt")
    with pytest.raises(UserError, match="inner.fc.weight is missing; inner.fc.bias is missing"):
        load_pretrained(adapt(Namesakes(), "fc"), tmp_path / "w.pt")


def test_a_classifier_without_a_bias_is_one_with_zeros(tmp_path: Path) -> None:
    state = state_of(1)
    del state["head.bias"]
    found, note = loaded(state, tmp_path)
    assert same(found, state) and not found["head.bias"].any() and "not new" in note


def test_an_adapted_network_is_found_within_a_wrapper(tmp_path: Path) -> None:
    def body() -> nn.Sequential:
        return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 5))

    theirs = body()
    for content in (theirs.state_dict(), under("model.", theirs.state_dict()), adapt(theirs).state_dict()):
        torch.save(content, tmp_path / "w.pt")
        mine = adapt(body())
        load_pretrained(mine, tmp_path / "w.pt")
        assert same(mine.state_dict(), under("body.", theirs.state_dict()))


def other_network() -> State:
    return nn.Sequential(nn.Conv2d(3, 5, 3), nn.Linear(5, 2)).state_dict()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            {"state_dict": other_network()},
            r"blocks.0.weight is missing.* and 1\d more\. It holds `state_dict`: 4",
        ),
        (
            {"model": {**state_of(1), "blocks.0.weight": torch.zeros(8, 3, 3, 3)}},
            r"blocks.0.weight should have shape \[32, 3, 3, 3\], has \[8, 3, 3, 3\]\. It holds `model`: 20",
        ),
        ({"epoch": 3, "args": argparse.Namespace()}, "holds no state dict: .*; it holds epoch, args"),
        ([1, 2], "holds no state dict: .* it holds a list"),
        (argparse.Namespace(lr=1), "holds no state dict: .* it holds an object without weights"),
        ({"ema": {"shadow_params": [torch.zeros(3)]}}, "holds no state dict: .*; it holds ema"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_the_file_holds(
    content: Any, words: str, tmp_path: Path
) -> None:
    torch.save(content, tmp_path / "w.pt")
    net = SmallCNN(4)
    before = copy.deepcopy(net.state_dict())
    with pytest.raises(UserError, match=words):
        load_pretrained(net, tmp_path / "w.pt")
    assert same(net.state_dict(), before)


def test_objects_in_the_format_of_long_ago_are_explained(tmp_path: Path) -> None:
    torch.save(
        {"state_dict": state_of(1), "args": argparse.Namespace()},
        tmp_path / "w.pth",
        _use_new_zipfile_serialization=False,
    )
    with pytest.raises(UserError, match=r"\(argparse.Namespace\), which only its own code can read: .*save"):
        load_pretrained(SmallCNN(4), tmp_path / "w.pth")


@pytest.mark.parametrize("suffix", [".ckpt", ".bin", ".pth.tar"])
def test_usual_names_of_files_are_read(suffix: str, tmp_path: Path) -> None:
    assert same(loaded(state_of(1), tmp_path, f"w{suffix}")[0], state_of(1))


@pytest.mark.parametrize("name", ["w.pt", "w.safetensors"])
def test_damaged_files_are_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"\x80\x02 no weights at all")
    with pytest.raises(UserError, match="cannot be read|holds something else"):
        load_pretrained(SmallCNN(4), tmp_path / name)
