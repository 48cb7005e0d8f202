"""Files that hold a network as a graph, which runs without this package: ONNX, torch.export, TorchScript."""

import importlib.util
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ssl_mix.errors import UserError
from ssl_mix.export.deployed import KEY, About, Deployed
from ssl_mix.runs.reading import build, reading

INPUT, OUTPUT = "images", "probabilities"
PARTS = ("onnx", "onnxscript", "onnxruntime")
EXAMPLES = 2  # images: of one, a tracer would keep that it is one
Run = Callable[[Tensor], Tensor]


class Graph(NamedTuple):
    """A kind of file.

    Attributes:
        about: what it is for.
        suffix: of its files.
        write: a network with its description into a file.
        read: probabilities of images, and the description.
    """

    about: str
    suffix: str
    write: Callable[[Deployed, About, Path], None]
    read: Callable[[Path], tuple[Run, About]]


def check_onnx() -> None:
    """Raise unless ONNX files can be written and run."""
    missing = [name for name in PARTS if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(f"ONNX files need {', '.join(missing)}: pip install 'ssl-mix[onnx]'")


def write_onnx(net: Deployed, about: About, path: Path) -> None:
    """One file, the number of images free."""
    check_onnx()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            net,
            (example(about),),
            dynamo=True,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes={INPUT: {0: torch.export.Dim("batch")}},
            verbose=False,
        )
    assert program is not None
    program.model.metadata_props[KEY] = described(about)
    program.save(str(path), external_data=False)


def read_onnx(path: Path) -> tuple[Run, About]:
    """By onnxruntime, on the CPU."""
    check_onnx()
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    found = session.get_modelmeta().custom_metadata_map

    def run(images: Tensor) -> Tensor:
        [probabilities] = session.run([OUTPUT], {INPUT: images.cpu().numpy()})
        return torch.from_numpy(probabilities)

    return run, understood(found[KEY])


def write_exported(net: Deployed, about: About, path: Path) -> None:
    """By torch.export, the number of images free."""
    shapes = {INPUT: {0: torch.export.Dim("batch")}}
    program = torch.export.export(net, (example(about),), dynamic_shapes=shapes)
    with path.open("wb") as file:
        torch.export.save(program, file, extra_files={KEY: described(about)})


def read_exported(path: Path) -> tuple[Run, About]:
    """By PyTorch."""
    found = {KEY: ""}
    with path.open("rb") as file:
        program = torch.export.load(file, extra_files=found)
    return program.module(), understood(found[KEY])


def write_torchscript(net: Deployed, about: About, path: Path) -> None:
    """By tracing: one program for any number of images."""
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # PyTorch would rather have torch.export
        program: Any = torch.jit.trace(
            net,  # type: ignore[no-untyped-call]
            (example(about),),
            check_trace=False,
        )
        torch.jit.save(program, str(path), _extra_files={KEY: described(about)})


def read_torchscript(path: Path) -> tuple[Run, About]:
    """By PyTorch."""
    found: dict[str, Any] = {KEY: ""}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program: Any = torch.jit.load(str(path), map_location="cpu", _extra_files=found)  # type: ignore[no-untyped-call]
    text = found[KEY]
    return program, understood(text.decode() if isinstance(text, bytes) else text)


GRAPHS = {
    "onnx": Graph("for onnxruntime, in any language", ".onnx", write_onnx, read_onnx),
    "exported": Graph("for torch.export.load", ".pt2", write_exported, read_exported),
    "torchscript": Graph("for torch.jit.load, in Python and C++", ".ts", write_torchscript, read_torchscript),
}


def read_graph(path: Path) -> tuple[Run, About]:
    """Probabilities of images, and the description, of a file with the suffix of a graph.

    Raises:
        ValueError: it is no such file, or none that this package wrote.
    """
    by_suffix = {graph.suffix: graph for graph in GRAPHS.values()}
    if path.suffix not in by_suffix:
        raise UserError(f"{path} is no exported network: expected a file that ends in {', '.join(by_suffix)}")
    with reading(path):
        return by_suffix[path.suffix].read(path)


def example(about: About) -> Tensor:
    """Images to trace with."""
    return torch.zeros((EXAMPLES, about.channels, about.stored_size, about.stored_size), dtype=torch.uint8)


def described(about: About) -> str:
    """A description as text."""
    return json.dumps(about.plain())


def understood(text: str) -> About:
    """A description from its text."""
    values = {name: tuple(v) if isinstance(v, list) else v for name, v in json.loads(text).items()}
    found: About = build(About, values)
    return found
