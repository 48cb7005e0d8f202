"""What of a network is trained, as one word."""

from torch import nn

from ssl_mix.errors import UserError
from ssl_mix.models.freeze import keep_statistics, train_last_stages, train_norms_alone
from ssl_mix.models.lora import add_adapters, find_peft

STAGES = "stages:"
WORDS = ("head", "norms", "lora", "all")


def check_tune(word: str) -> None:
    """Raise unless it is one of the words, or names a number of stages."""
    count = word.removeprefix(STAGES)
    if word not in WORDS and not (word != count and count.isdecimal() and int(count)):
        raise UserError(f"tune must be one of {', '.join(WORDS)}, stages:1, stages:2 and so on, got {word!r}")


def check_installed(word: str) -> None:
    """Raise where what a word needs is not installed."""
    if word == "lora":
        find_peft()


def tune(
    net: nn.Module, word: str, *, frozen_norms: bool, shape: tuple[int, int, int], seed: int
) -> nn.Module:
    """Let training change what a word says; a network whose "head" alone learns is that head.

    Args:
        net: changed in place.
        word: see :class:`ssl_mix.runs.net_options.NetOptions`.
        frozen_norms: whether every batch-norm layer keeps its running statistics.
        shape: (C, H, W) of the images.
        seed: of the run.

    Raises:
        ValueError: the network has no such parts, or a package is missing.
    """
    if frozen_norms:
        keep_statistics(net.modules())
    if word == "norms":
        train_norms_alone(net)
    elif word == "lora":
        add_adapters(net, shape, seed)
    elif word.startswith(STAGES):
        train_last_stages(net, int(word.removeprefix(STAGES)))
    return net


def tuning_note(net: nn.Module, word: str) -> str:
    """How many weights are trained."""
    sizes = [(parameter.numel(), parameter.requires_grad) for parameter in net.parameters()]
    trained = sum(size for size, learns in sizes if learns)
    return f"{trained:,} of {sum(size for size, _ in sizes):,} weights are trained (`tune={word}`)"
