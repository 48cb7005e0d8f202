"""What the training loop needs where several processes train one network, see :mod:`ssl_mix.ranks`."""

from collections.abc import Iterable

import torch
from torch import Tensor

from ssl_mix import ranks
from ssl_mix.engine.config import TrainConfig
from ssl_mix.errors import UserError, counts_of


def check_processes(config: TrainConfig) -> None:
    """Raise unless as many processes as there are can train so.

    Raises:
        ValueError: a part of a batch cannot be shared equally, or the network is to be compiled.
    """
    part, processes = config.batch_size // config.accumulate, ranks.count()
    if part % processes:
        raise UserError(
            f"{processes} processes share the {counts_of(part, 'labeled image')} of a pass equally: choose a "
            f"`batch_size` that {processes * config.accumulate} divides, or another number of processes"
        )
    if config.compile and processes > 1:
        raise UserError(
            f"`compile` is for one process, and {processes} share each pass through the network: leave it out"
        )


@torch.no_grad()
def average_gradients(weights: Iterable[Tensor]) -> None:
    """Replace the gradients by their means over all processes, those of one dtype in one exchange."""
    if ranks.count() == 1:
        return
    gradients = [weight.grad for weight in weights if weight.grad is not None]
    for gradient, mean in zip(gradients, ranks.averaged(gradients), strict=True):
        gradient.copy_(mean)
