"""Several processes that train one network: each passes its share of the rows through it, and all see all
rows.

What an algorithm does with a batch, its losses, thresholds, queues and mixing, every process does for the
whole batch, from the same draws; a pass through the network alone is shared, see :func:`rows_shared`. So
nothing that looks across a batch has to know of processes, and N of them do what one does, up to the order of
sums. Without ``torch.distributed`` everything here is the identity.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

_passing = False  # whether a pass over rows of this process alone is under way


def count() -> int:
    """Processes that train together; 1 without ``torch.distributed``."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Which of them this one is, from 0; the first one writes files and speaks."""
    return dist.get_rank() if count() > 1 else 0


def wait_for_all() -> None:
    """Go on when all processes have come here."""
    if count() > 1:
        dist.barrier()


@contextmanager
def first_goes_first() -> Iterator[None]:
    """Let the first process finish the block before the others begin, for downloads."""
    if rank() > 0:
        wait_for_all()
    yield
    if rank() == 0:
        wait_for_all()


def highest(number: int) -> int:
    """The highest of the numbers that the processes give, on each of them; the host waits for the others."""
    if count() == 1:
        return number
    found = torch.tensor(number, device=_plain_device())
    dist.all_reduce(found, dist.ReduceOp.MAX)
    return int(found)


def _plain_device() -> str:
    """Where small tensors can be exchanged: the CPU, unless NCCL is all there is."""
    return "cpu" if "gloo" in str(dist.get_backend_config()) else "cuda"


@torch.no_grad()
def take_over(*modules: nn.Module) -> None:
    """Give parameters and buffers the values that they have on the first process."""
    if count() > 1:
        for module in modules:
            for tensor in (*module.parameters(), *module.buffers()):
                agreed(tensor)


@torch.no_grad()
def agreed(tensor: Tensor) -> Tensor:
    """The same tensor, with the values that it has on the first process."""
    if count() > 1:
        dense = tensor.contiguous()
        dist.broadcast(dense.reshape(-1).view(torch.uint8), 0)  # as bytes: not every type can be sent
        tensor.copy_(dense)
    return tensor


def share_of(total: int) -> slice:
    """The rows out of ``total`` that are this process's: a block of as many as every other has.

    Where they cannot be parted equally, all rows are everybody's.
    """
    if total % count():
        return slice(0, total)
    size = total // count()
    return slice(rank() * size, (rank() + 1) * size)


def all_rows(own: Tensor, total: int) -> Tensor:
    """The rows of all processes, (total, ...), from those that ``share_of(total)`` names; no gradient."""
    return own if len(own) == total else _gather(own)


def _gather(own: Tensor) -> Tensor:
    """The rows of all processes, in their order."""
    dense = own.detach().contiguous()
    parts = [torch.empty_like(dense) for _ in range(count())]
    dist.all_gather(parts, dense)
    return torch.cat(parts)


class _Share(torch.autograd.Function):
    """All rows to those of this process."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        return rows[share_of(len(rows))].clone()  # what follows may work in place

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return _gather(gradients[0]) / count()


class _Collect(torch.autograd.Function):
    """Rows of this process to all rows.

    What comes after it every process does for all rows, and their gradients are averaged at the end: so those
    of a pass, which are of own rows alone, are made N times as large.
    """

    @staticmethod
    def forward(ctx: Any, own: Tensor) -> Tensor:
        return _gather(own)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0][share_of(len(gradients[0]))] * count()


class _Exchange(torch.autograd.Function):
    """Something of this process to that of all, stacked, within a pass; gradients add up."""

    @staticmethod
    def forward(ctx: Any, own: Tensor) -> Tensor:
        return _gather(own[None])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].contiguous()
        dist.all_reduce(total)
        return total[rank()]


@torch.no_grad()
def averaged(own: Sequence[Tensor]) -> list[Tensor]:
    """The means over all processes of tensors that each has, those of one dtype in one exchange."""
    found = list(own)
    if count() == 1:
        return found
    for dtype in sorted({tensor.dtype for tensor in own}, key=str):
        places = [place for place, tensor in enumerate(own) if tensor.dtype == dtype]
        total = torch.cat([own[place].flatten() for place in places])
        dist.all_reduce(total)
        parts = torch.split(total / count(), [own[place].numel() for place in places])
        for place, part in zip(places, parts, strict=True):
            found[place] = part.view(own[place].shape)
    return found


def gathered(own: Tensor) -> Tensor:
    """All rows of a hidden layer, with gradient; for hooks that look at several images."""
    return _apply(_Collect, own) if _passing else own


def own_rows(rows: Tensor) -> Tensor:
    """Those of this process of what ``gathered`` gave; for hooks that change the output of a layer."""
    return _apply(_Share, rows) if _passing else rows


def _apply(function: type[torch.autograd.Function], tensor: Tensor) -> Tensor:
    found: Tensor = function.apply(tensor)
    return found


@contextmanager
def rows_shared(*nets: nn.Module) -> Iterator[None]:
    """Within the block each process passes its share of the rows alone through the networks.

    ``net(x)`` and ``net.features(x)`` take and give all rows, the same on every process, and so do their
    gradients; between, the rows go their own ways. Batch norm normalizes by all of them, hooks see all of
    them by :func:`gathered`, and dropout draws differently on each process. The gradients of parameters are
    those of one process once they have been averaged over all. Rows that cannot be parted equally every
    process passes through the network.
    """
    if count() == 1:
        yield
        return
    places = [
        (net, name, vars(net).get(name))
        for net in nets
        for name in ("forward", "features")
        if callable(getattr(net, name, None)) and not isinstance(getattr(net, name), nn.Module)
    ]
    for net, name, _ in places:
        vars(net)[name] = _Shared(net, getattr(net, name))
    try:
        yield
    finally:
        for net, name, before in places:
            if before is None:
                del vars(net)[name]
            else:
                vars(net)[name] = before


class _Shared:
    """A method of a network that takes and gives rows, shared by all processes."""

    def __init__(self, net: nn.Module, method: Callable[..., Tensor]) -> None:
        self.net, self.method = net, method

    def __call__(self, rows: Tensor) -> Tensor:
        if _passing or len(rows) % count():
            return self.method(rows)
        with _own_pass(rows.device, drawing=self.net.training):
            return gathered(self.method(own_rows(rows)))


@contextmanager
def _own_pass(device: torch.device, *, drawing: bool) -> Iterator[None]:
    """Within the block a network sees rows of this process alone; default generators, where the pass may draw
    from them, are afterwards the same on every process again."""
    global _passing
    _passing = True
    try:
        with BatchNormOfAll(), _own_draws(device, enabled=drawing):
            yield
    finally:
        _passing = False


@contextmanager
def _own_draws(device: torch.device, *, enabled: bool) -> Iterator[None]:
    if not enabled:
        yield
        return
    seed = int(torch.randint(2**62, (), generator=torch.default_generator)) + rank()
    gpus = [torch.cuda.current_device()] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=gpus):
        torch.default_generator.manual_seed(seed)
        for gpu in gpus:
            torch.cuda.default_generators[gpu].manual_seed(seed)
        yield


class BatchNormOfAll(TorchFunctionMode):
    """Within it ``F.batch_norm`` that normalizes by the batch does so by the rows of all processes.

    ``torch.nn.SyncBatchNorm`` does the same on GPUs alone, and takes the place of a layer. This one acts on
    whatever layer calls the function.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Calls the function, or the batch norm of all rows in its place."""
        return (batch_norm if func is F.batch_norm else func)(*args, **(kwargs or {}))


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """``torch.nn.functional.batch_norm`` of (n, C, ...) with the statistics of the rows of all processes, n
    on each."""
    if not training:
        return F.batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    exact = input.to(torch.promote_types(input.dtype, torch.float32))
    over = [axis for axis in range(input.ndim) if axis != 1]
    mean, variance = _moments(exact, over)
    values = input.numel() // input.shape[1] * count()
    if running_mean is not None and running_var is not None:
        with torch.no_grad():
            running_mean.lerp_(mean.to(running_mean), momentum)
            running_var.lerp_((variance * values / max(1, values - 1)).to(running_var), momentum)
    shape = (1, -1, *[1] * (input.ndim - 2))
    scale = torch.rsqrt(variance + eps)
    scale = scale if weight is None else scale * weight
    found = (exact - mean.view(shape)) * scale.view(shape)
    return (found if bias is None else found + bias.view(shape)).to(input.dtype)


def _moments(own: Tensor, over: list[int]) -> tuple[Tensor, Tensor]:
    """Mean and variance (C,) over all rows: those of each process and how far its mean is from the whole."""
    variance, mean = torch.var_mean(own, over, correction=0)
    variances, means = _apply(_Exchange, torch.stack((variance, mean))).unbind(1)
    return means.mean(0), variances.mean(0) + means.var(0, correction=0)
