"""Settings that belong together, as functions: the defaults of ``ssl-mix train --recipe NAME``; every flag overrides its own."""

from typing import NamedTuple

from ssl_mix.engine.config import TrainConfig
from ssl_mix.runs import DataOptions, NetOptions


class Recipe(NamedTuple):
    """Defaults for a run."""

    data: DataOptions
    net: NetOptions
    config: TrainConfig


def small(data: str | None) -> Recipe:
    """Up to about 10,000 steps: batch-norm momentum 0.1 and a teacher that warms up, so that a short run learns.

    Command: ``ssl-mix train fixmatch --data digits --labels 40 --out runs/digits``.
    """
    del data
    return Recipe(DataOptions(), NetOptions(), TrainConfig())


def paper(data: str | None) -> Recipe:
    """The settings behind the published CIFAR tables: 2^20 steps of 64 labelled and 448 unlabelled pictures.

    Command: ``ssl-mix train fixmatch --data cifar10 --download --labels 250 --recipe paper --out runs/cifar10-250``.
    Expected error of FixMatch, 250 labels: 5.07 as published (Sohn et al., RandAugment), 4.86 +- 0.05 (TorchSSL, best
    checkpoint). GPU hours: not run.

    Args:
        data: "cifar100" takes WRN-28-8 and weight decay 0.001, everything else WRN-28-2 and 0.0005.
    """
    hundred = data == "cifar100"
    return Recipe(
        DataOptions(include_labeled=True),
        NetOptions(net="wrn-28-8" if hundred else "wrn-28-2", bn_momentum=0.001),
        TrainConfig(
            steps=2**20,
            weight_decay=1e-3 if hundred else 5e-4,
            ema_warmup=False,
            log_every=256,
            eval_every=1024,
            checkpoint_every=1024,
        ),
    )


RECIPES = {"small": small, "paper": paper}
