"""Export a trained run, and compare what was written with the run before it is said to be there."""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import torch
from safetensors.torch import load_file
from torch import Tensor

from ssl_mix.errors import UserError, check_choice, check_positive, checking_kinds, counts_of
from ssl_mix.export.answering import answering
from ssl_mix.export.deployed import About, Deployed, about
from ssl_mix.export.graphs import GRAPHS
from ssl_mix.export.huggingface import write_folder
from ssl_mix.export.weights import rebuilt, write_safetensors, write_timm
from ssl_mix.runs.answered import Answered, answer_test_part
from ssl_mix.runs.folder import read_config
from ssl_mix.runs.trained import TrainedRun
from ssl_mix.shell import at_home

To = Literal["onnx", "exported", "torchscript", "safetensors", "timm", "huggingface"]
SUFFIXES = {**{name: graph.suffix for name, graph in GRAPHS.items()}, "safetensors": ".safetensors"}
SUFFIXES |= {"timm": ".safetensors", "huggingface": ""}
COMPARED = 256  # images at most
TOLERANCE = 2e-3  # of a probability
Run = Callable[[Tensor], Tensor]


class Compared(NamedTuple):
    """How far an exported network is from its run.

    Attributes:
        path: what was written.
        images: that both looked at.
        tested: whether those were test images of the run; else they are noise.
        difference: largest between two probabilities.
        alike: of how many images the likeliest class is the same.
        accuracy: of the exported network on those, where they have labels.
    """

    path: Path
    images: int
    tested: bool
    difference: float
    alike: int
    accuracy: float | None


@checking_kinds
def export(
    trained: TrainedRun,
    to: To,
    out: str | Path,
    *,
    temperature: float = 1.0,
    overwrite: bool = False,
) -> Compared:
    """Write the teacher of a run to a file, or to a folder for "huggingface", and read it back: its class
    probabilities must be those of the run to 0.002.

    "onnx", "exported" and "torchscript" take uint8 images (N, C, S, S), crop, normalize, and return
    probabilities; "safetensors", "timm" and "huggingface" hold weights. All tell size, normalization and
    classes in their metadata.

    Args:
        trained: from ``load_trained``.
        to: format.
        out: what to write; its suffix must be that of the format.
        temperature: by which logits are divided before the softmax.
        overwrite: replace what is there.

    Raises:
        ValueError: the format is unknown or cannot hold this network, the suffix is another's, there is
            something at ``out``, a package is missing, or the result differs from the run.
    """
    out = Path(at_home(out))
    check_choice("to", to, get_args(To))
    check_positive("temperature", temperature)
    check_out(out, to, overwrite=overwrite)
    config = read_config(trained.folder)
    known = about(trained, config["algorithm"]["name"], temperature)
    net = Deployed(answering(trained.net.cpu(), torch.zeros(1, *trained.shape)), known)
    images, answered = to_compare(trained)
    with tempfile.TemporaryDirectory(dir=out.absolute().parent, prefix=".export") as folder:
        made = Path(folder, f"made{SUFFIXES[to]}")
        written = write(net, known, to, made, config, answered)
        compared = compare(net, written, images, answered, out)
        if out.is_dir():
            shutil.rmtree(out)
        made.replace(out)
    return compared


def write(
    net: Deployed, known: About, to: To, path: Path, config: dict[str, Any], answered: Answered | None
) -> Run:
    """Write a file or a folder, and read it back: probabilities of images."""
    if to in GRAPHS:
        GRAPHS[to].write(net, known, path)
        return GRAPHS[to].read(path)[0]
    if to == "safetensors":
        write_safetensors(net.net, known, path)
        net.net.load_state_dict(load_file(path))
        return net
    again = Deployed(rebuilt(net.net, known), known)
    if to == "timm":
        write_timm(net.net, known, path)
        return again
    path.mkdir()
    write_folder(net.net, known, path, config, results(answered))
    return again


def check_out(out: Path, to: To, *, overwrite: bool) -> None:
    """Raise before any work is done where ``out`` cannot be written."""
    if not out.absolute().parent.is_dir():
        raise UserError(f"the folder of `out` {out} does not exist: make it first")
    if out.suffix != SUFFIXES[to] and to != "huggingface":
        raise UserError(f"`out` {out}: expected a name that ends in {SUFFIXES[to]} for `to={to}`")
    if out.exists() and not overwrite:
        raise UserError(f"{out} is there already: choose another `out`, or replace it with `overwrite`")
    if out.exists() and out.is_dir() != (to == "huggingface"):
        raise UserError(f"`out` {out} is {'a folder' if out.is_dir() else 'a file'}: choose another")
    if out.is_dir() and any(out.iterdir()) and not (out / "model.safetensors").exists():
        raise UserError(f"{out} holds no exported model: choose another `out`, nothing was deleted")


def to_compare(trained: TrainedRun) -> tuple[Tensor, Answered | None]:
    """Images of the test part, and what the run answers; noise where there is no test part."""
    try:
        answered = answer_test_part(trained)
    except UserError:
        shape = (8, trained.shape[0], trained.stored_size, trained.stored_size)
        drawn = torch.randint(256, shape, generator=torch.Generator().manual_seed(0), dtype=torch.int16)
        return drawn.to(torch.uint8), None
    return images_of(answered), answered


def images_of(answered: Answered) -> Tensor:
    """The first test images, as they are stored."""
    rows = answered.positions[:COMPARED]
    return torch.cat([*answered.images.batches(torch.split(rows, 32), torch.device("cpu"))])


@torch.inference_mode()
def compare(net: Deployed, written: Run, images: Tensor, answered: Answered | None, out: Path) -> Compared:
    """How far what was read back is from the run.

    Raises:
        ValueError: too far.
    """
    ours, theirs = (torch.cat([run(part) for part in torch.split(images, 32)]) for run in (net, written))
    if answered is not None:
        ours = (answered.logits[: len(images)] / net.temperature).softmax(dim=1)
    difference = float((ours - theirs).abs().max())
    if not difference <= TOLERANCE:
        raise UserError(
            f"the exported network differs from the run by {difference:.3g} in a probability, more than "
            f"{TOLERANCE}: nothing was written to {out}"
        )
    predicted = theirs.argmax(dim=1)
    alike = int((predicted == ours.argmax(dim=1)).sum())
    right = None
    if answered is not None:
        right = float((predicted == answered.labels[: len(images)]).float().mean())
    return Compared(out, len(images), answered is not None, difference, alike, right)


def results(answered: Answered | None) -> str:
    """What the run has reached, in words."""
    if answered is None:
        return "There were no images with labels to test on."
    found = answered.evaluation()
    probe = found.probe_accuracy
    beside = "" if probe is None else f"; a linear probe on the features before training has {probe:.1%}"
    return f"Accuracy {found.accuracy:.1%} on {counts_of(found.images, 'test image')}{beside}."
