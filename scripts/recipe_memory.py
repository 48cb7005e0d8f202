"""What a step of each published recipe needs of a GPU's memory, without one: estimated and counted.

    python scripts/recipe_memory.py --json scripts/results/recipe_memory.jsonl

"at_least" is what ``ssl-mix train`` compares with the free memory before it starts: the views, and what the
layers with weights give. "counted" is what a forward pass keeps for the gradient, counted on tensors with a
shape and no values, in bfloat16 as on a GPU; "weights" are parameters, gradients, the optimizer's state and
the teacher. All in GiB, of the whole batch on one GPU; ``--accumulate N`` or N GPUs divide the first two. A
step needs more than "counted" and "weights": the gradients of what was kept, and what lives for a moment.
"""

import argparse
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from measuring import append_line, circumstances
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from ssl_mix.recipes import GENERAL, RECIPES
from ssl_mix.recipes.build import build_run
from ssl_mix.runs.memory import FLOAT, GIB, layer_bytes

STATES = {"sgd": 1, "adamw": 2, "lamb": 2}  # tensors that the optimizer keeps for each weight


def kept_bytes(net: nn.Module, shape: tuple[int, ...], batch: int) -> int:
    """Bytes that a forward pass on CUDA in bfloat16 keeps for the gradient, weights aside.

    Args:
        net: with tensors without values on "cuda", see :func:`on_cuda`.
        shape: of an image.
        batch: images.
    """
    kept: dict[int, Any] = {}

    def keep(tensor: Tensor) -> Tensor:
        if not isinstance(tensor, nn.Parameter):
            storage = tensor.untyped_storage()
            kept[storage._cdata] = storage  # which stays, so that no other one gets its number
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        with torch.autocast("cuda", torch.bfloat16):
            logits = net.train()(torch.empty(batch, *shape, device="cuda"))
        nn.functional.cross_entropy(logits.float(), torch.zeros(batch, dtype=torch.int64, device="cuda"))
    return sum(storage.nbytes() for storage in kept.values())


@contextmanager
def as_with_gpu() -> Iterator[None]:
    """Within the block autocast believes that there is a GPU."""
    with (
        mock.patch.object(torch.cuda.amp.common, "amp_definitely_not_available", lambda: False),
        mock.patch.object(torch.cuda, "is_bf16_supported", lambda *_, **__: True),
    ):
        yield


def on_cuda(net: nn.Module) -> nn.Module:
    """A network of the device "meta", within a ``FakeTensorMode``, with tensors on CUDA; changed in place."""
    for module in net.modules():
        for name, weight in module._parameters.items():
            if weight is not None:
                module._parameters[name] = nn.Parameter(torch.empty(weight.shape, device="cuda"))
        for name, value in module._buffers.items():
            if value is not None:
                module._buffers[name] = torch.zeros(value.shape, dtype=value.dtype, device="cuda")
    return net


def measure(name: str) -> dict[str, Any]:
    """The line of one recipe."""
    cifar = name.startswith("cifar")
    run = build_run("supervised", {"data": "cifar100" if cifar else "folder"}, name).run
    side, config = run.data.image_size or 32, run.config
    shape, classes = (3, side, side), 100 if cifar else 1000
    with torch.device("meta"):
        net = run.net.build(shape, classes, 0)
    views = math.prod(shape) * FLOAT
    at_least = config.batch_size * (views + layer_bytes(net, shape) // 2)
    weights = sum(weight.numel() for weight in net.parameters())
    with FakeTensorMode(), as_with_gpu():
        counted = kept_bytes(on_cuda(net), shape, config.batch_size)
    return {
        "recipe": name,
        "batch": config.batch_size,
        "pixels": side,
        "at_least": round(at_least / GIB, 2),
        "counted": round(counted / GIB, 2),
        "weights": round(weights * FLOAT * (3 + STATES[config.optimizer]) / GIB, 2),
    }


def main() -> None:
    """Count for every recipe."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, required=True, help="file of results, added to")
    options = parser.parse_args()
    for name in RECIPES:
        if name not in GENERAL:
            line = measure(name)
            print(line, flush=True)
            append_line(options.json, {**line, **circumstances()})


if __name__ == "__main__":
    main()
