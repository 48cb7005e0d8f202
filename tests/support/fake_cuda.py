"""CUDA tensors without values on a machine without a GPU, which refuse whatever would make a host wait for
one."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode, unset_fake_temporarily
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

SOLVERS = {
    "_linalg_eigh",
    "_linalg_svd",
    "_linalg_solve_ex",
    "linalg_cholesky_ex",
    "linalg_lstsq",
    "linalg_qr",
}
COPIES = {"_to_copy", "copy_"}


class HostWaits(AssertionError):
    """The host would wait for the GPU."""


class FakeCuda(TorchDispatchMode):
    """What runs on the CPU runs as always; what touches a CUDA tensor yields a fake one of the right shape.

    Fake tensors refuse by themselves what needs a value (``item``, ``nonzero``, boolean indices) and mixed
    devices. While ``strict``, copies to the host, blocking copies to the GPU and CPU tensors among CUDA ones
    (an index, say) are refused too; before that a copy to the host yields zeros.

    Attributes:
        strict: whether copies must not wait.
        launches: how many operations on CUDA tensors there were.
        waiting: names of operations, while ``strict``, whose CUDA kernels wait though their shapes are known.
    """

    def __init__(self) -> None:
        super().__init__()
        self.fake = FakeTensorMode(allow_non_fake_inputs=True)
        self.strict, self.launches = False, 0
        self.waiting: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """See ``TorchDispatchMode``."""
        kwargs = kwargs or {}
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        there = [isinstance(tensor, FakeTensor) for tensor in tensors]
        if not any(there) and torch.device(kwargs.get("device") or "cpu").type == "cpu":
            with unset_fake_temporarily():
                return func(*args, **kwargs)
        if self.strict:
            self._check(
                func,
                [t for t, far in zip(tensors, there, strict=True) if not far and t.ndim and t.numel()],
                args,
                kwargs,
            )
            self.waiting |= {func.overloadpacket.__name__} & SOLVERS
        self.launches += 1
        if func.overloadpacket.__name__.startswith("_fused_"):
            return None  # optimizers write in place, and have no rule for fake tensors
        with self.fake:
            found = func(*args, **kwargs)
        return found if self.strict else self._landed(found)

    def _check(self, func: Any, near: list[Tensor], args: Any, kwargs: Any) -> None:
        name = func.overloadpacket.__name__
        if name not in COPIES:
            if near:
                raise HostWaits(f"{func} is given a CPU tensor {tuple(near[0].shape)} among CUDA tensors")
            return
        lands_here = (
            any(args[0] is t for t in near)
            if name == "copy_"
            else (kwargs.get("device") or args[0].device).type == "cpu"
        )
        if lands_here or (near and not (kwargs.get("non_blocking") or args[2:3] == (True,))):
            raise HostWaits(f"{func} copies between host and GPU, and waits")

    @staticmethod
    def _landed(found: Any) -> Any:
        if isinstance(found, FakeTensor) and found.device.type == "cpu":
            with unset_fake_temporarily():
                return torch.zeros(found.shape, dtype=found.dtype)
        return found


@contextmanager
def fake_cuda() -> Iterator[FakeCuda]:
    """Within the block CUDA tensors are fake ones."""
    mode = FakeCuda()
    with mode.fake, mode:
        yield mode


def like_inputs(_: Tensor, inputs: Tensor | tuple[Tensor, ...], **__: Any) -> tuple[Tensor, ...]:
    """In place of ``torch.autograd.grad``, which cannot run without a GPU: gradients of the right shapes."""
    wanted = (inputs,) if isinstance(inputs, Tensor) else inputs
    return tuple(torch.empty_like(tensor).detach() for tensor in wanted)


def backward_of(parameters: Callable[[], Iterator[Tensor]]) -> Callable[[Tensor], None]:
    """In place of ``Tensor.backward``, likewise: fills the gradients of ``parameters()``."""

    def backward(loss: Tensor) -> None:
        assert loss.requires_grad and loss.ndim == 0
        for parameter in parameters():
            parameter.grad = torch.empty_like(parameter)

    return backward
