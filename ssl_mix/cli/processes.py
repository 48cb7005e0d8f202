"""The processes that torchrun starts: how a command becomes one of them."""

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from ssl_mix.errors import UserError, counts_of

SHARED = ("train", "resume")


def launched() -> int:
    """Processes that torchrun, or what sets the same variables, has started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


@contextlib.contextmanager
def one_of_many(words: Sequence[str]) -> Iterator[None]:
    """Within the block the processes that torchrun started train together, each on a GPU of its own where
    there are some; the first one speaks.

    What ends one of them with an error is told to torchrun, which ends the others.

    Args:
        words: the command and what follows it.

    Raises:
        ValueError: the command is for one process, or there are fewer GPUs than processes.
    """
    if launched() == 1:
        yield
        return
    if not words or words[0] not in SHARED:
        raise UserError(
            f"{launched()} processes can share {' and '.join(SHARED)}: start any other command without "
            "torchrun"
        )
    import torch
    import torch.distributed as dist

    if torch.cuda.is_available():
        torch.cuda.set_device(own_gpu(torch.cuda.device_count()))
    dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    with open(os.devnull, "w") as nowhere, told_to_torchrun():
        quiet = contextlib.nullcontext() if dist.get_rank() == 0 else contextlib.redirect_stdout(nowhere)
        with quiet:
            yield
        dist.destroy_process_group()


def own_gpu(gpus: int) -> int:
    """Number of the GPU of this process.

    Raises:
        ValueError: there are fewer than processes on this machine.
    """
    if (number := int(os.environ.get("LOCAL_RANK", "0"))) >= gpus:
        raise UserError(
            f"PyTorch sees {counts_of(gpus, 'GPU')}, and torchrun starts more processes than that on this "
            "machine: lower --nproc-per-node, or hide them all (CUDA_VISIBLE_DEVICES=) and train on CPUs"
        )
    return number


@contextlib.contextmanager
def told_to_torchrun() -> Iterator[None]:
    """Let torchrun name the error that ends the block as the reason why the job failed.

    Raises:
        ValueError: another process is gone.
    """
    from torch.distributed import DistError
    from torch.distributed.elastic.multiprocessing.errors import get_error_handler

    try:
        yield
    except Exception as error:
        get_error_handler().record_exception(error)
        if isinstance(error, DistError) or "gloo" in str(error):
            raise UserError(
                "another process is gone, torchrun says why; the last checkpoint stays, and the same command "
                "goes on from it"
            ) from error
        raise


def began_before(folder: Path, *, overwrite: bool = False) -> bool:
    """Whether torchrun repeats a command that has begun a run in ``folder``: after a failure, or because the
    job was put back into a queue. With ``overwrite`` only a failure counts: a new job starts over."""
    from ssl_mix.runs.folder import CONFIG, read_config

    if "TORCHELASTIC_RUN_ID" not in os.environ or not (folder / CONFIG).exists():
        return False
    if overwrite and int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) == 0:
        return False
    command = read_config(folder).get("command")
    return isinstance(command, list) and command[1:] == sys.argv[1:]
