"""What a step needs of the memory, estimated before it is taken."""

import copy
import math
from collections.abc import Sequence

import psutil  # type: ignore[import-untyped]
import torch
from torch import Tensor, nn

from ssl_mix.algorithm import Algorithm
from ssl_mix.engine.config import TrainConfig
from ssl_mix.engine.execution import resolve_device
from ssl_mix.errors import UserError, counts_of
from ssl_mix.runs.run import Run

FLOAT = 4  # bytes
GIB = 2**30
MANY_PIXELS = 2**23  # in a batch: what takes fewer is looked at when its images are read
COLORS, FEWEST_CLASSES = 3, 2


def check_before_reading(run: Run, net: nn.Module | None) -> None:
    """:func:`check_memory` before minutes are spent on images in files, whose size in the network is known.

    Args:
        run: settled.
        net: that takes the place of the one that its options name.

    Raises:
        ValueError: a step would not fit.
    """
    size = run.data.seen_size if run.data.in_files and run.net.tune != "head" else 0
    if run.config.batch_size * size**2 < MANY_PIXELS:
        return
    shape = (COLORS, size, size)
    if net is None:
        with torch.device("meta"):  # weights take neither time nor memory
            net = run.net.without_weights().build(shape, FEWEST_CLASSES, run.config.seed)
    check_memory(run.algorithm, net, shape, run.config, resolve_device(run.config.device))


def check_memory(
    algorithm: Algorithm, net: nn.Module, shape: tuple[int, ...], config: TrainConfig, device: torch.device
) -> None:
    """Raise where even the least that a step needs is not free: all its views as floats, and what the layers
    with weights give for the labeled ones, which is kept for the gradient.

    Args:
        algorithm: which views it reads.
        net: that will be trained.
        shape: of what it sees, (C, H, W).
        config: size and precision of a batch.
        device: where it is trained.

    Raises:
        ValueError: with the largest batch and the largest images that would fit.
    """
    batch = config.batch_size
    unlabeled = algorithm.unlabeled_ratio * len(algorithm.unlabeled_views)
    labeled = len(algorithm.labeled_views)
    halved = config.amp == "bf16" or (config.amp == "auto" and device.type == "cuda")
    views = (labeled + unlabeled) * math.prod(shape) * FLOAT
    per_image = views + labeled * layer_bytes(net, shape) // (2 if halved else 1)
    free = free_memory(device)
    if batch * per_image <= free:
        return
    if len(shape) != 3:
        raise UserError(
            f"a step of {counts_of(batch, 'input')} of shape {shape} needs {batch * per_image / GIB:.1f} GiB "
            f"at least, and {free / GIB:.1f} GiB are free: `batch_size` {int(free // per_image)} would fit"
        )
    side = int(shape[1] * math.sqrt(free / (batch * per_image)))
    fewer = f" or `batch_size` {int(free // per_image)}" if free >= per_image else ""
    raise UserError(
        f"a step of {counts_of(batch, 'image')} at {shape[1]}x{shape[2]} pixels needs "
        f"{batch * per_image / GIB:.1f} GiB at least, and {free / GIB:.1f} GiB are free: at most "
        f"`image_size` {side}{fewer} would fit"
    )


def layer_bytes(net: nn.Module, shape: Sequence[int]) -> int:
    """Bytes of what the layers with weights give for one image of ``shape`` (C, H, W), computed from shapes
    alone; 0 for a network that cannot run without numbers."""
    found = 0

    def add(module: nn.Module, inputs: object, output: object) -> None:
        nonlocal found
        del module, inputs
        if isinstance(output, Tensor):
            found += output.numel() * FLOAT

    try:
        ghost = copy.deepcopy(net).to("meta").eval()
        for module in ghost.modules():
            if not list(module.children()) and list(module.parameters(recurse=False)):
                module.register_forward_hook(add)
        with torch.inference_mode():
            ghost(torch.empty(1, *shape, device="meta"))
    except Exception:  # any network may have layers that look at numbers
        return 0
    return found


def free_memory(device: torch.device) -> int:
    """Bytes that are free on the device."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    free: int = psutil.virtual_memory().available
    return free
