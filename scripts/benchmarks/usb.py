"""The toolkit USB (PyPI's ``semilearn`` 0.3.2), driven step by step with a clock in its loop."""

import argparse
import contextlib
import importlib
import importlib.util
import io
import logging
import sys
import tempfile
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, NamedTuple
from unittest import mock

import torch
from measuring import now
from torch import Tensor, nn

from benchmarks.noise import Noise

CLASSES, LABELS, RATIO = 10, 250, 7
OPTIONAL_IN_USB = ("aim", "torchaudio", "wandb")  # imported with it, used for sound and tracking alone


class Spent(NamedTuple):
    """Seconds of one iteration."""

    data: float
    step: float


def import_usb() -> ModuleType | None:
    """The package ``semilearn``, or None where it is not installed; what it imports without need may be
    missing."""
    if importlib.util.find_spec("semilearn") is None:
        return None
    for name in OPTIONAL_IN_USB:
        if importlib.util.find_spec(name) is None:
            sys.modules[name] = ModuleType(name)
            sys.modules[name].__spec__ = ModuleSpec(name, None)
    return importlib.import_module("semilearn")


class Usb:
    """USB's algorithm with its own data, loaders and hooks; its CIFAR-10 reader is given the noise."""

    def __init__(self, algorithm: str, noise: Noise, options: argparse.Namespace) -> None:
        self.device = torch.device(options.device)
        self.algorithm = self._build(algorithm, noise, options)
        if self.device.type == "cuda":
            send = importlib.import_module("semilearn.core.utils").send_model_cuda
            self.algorithm.model = send(self.algorithm.args, self.algorithm.model)
            self.algorithm.ema_model = send(self.algorithm.args, self.algorithm.ema_model, clip_batch=False)
        else:
            self.algorithm.hooks_dict.pop("TimerHook")
        self.net: nn.Module = self.algorithm.model
        self.net.train()
        self.algorithm.call_hook("before_run")
        self.turns = 0

    def _build(self, algorithm: str, noise: Noise, options: argparse.Namespace) -> Any:
        usb = importlib.import_module("semilearn")
        settings = {
            "algorithm": algorithm,
            "batch_size": options.batch_size,
            "uratio": RATIO,
            "num_labels": LABELS,
            "epoch": 1024,
            "num_train_iter": 2**20,
            "num_eval_iter": 5120,
            "num_log_iter": 256,
            "gpu": self.device.index or 0,
            "rank": 0,
            "world_size": 1,
            "distributed": False,
        }
        if options.usb_workers is not None:
            settings["num_workers"] = options.usb_workers

        class NoiseReader:
            """Stands in for ``torchvision.datasets.CIFAR10``."""

            def __init__(self, root: str, train: bool, download: bool) -> None:
                self.data = noise.images.permute(0, 2, 3, 1).contiguous().numpy()
                self.targets = noise.labels.tolist()

        with (
            contextlib.redirect_stdout(io.StringIO()),
            tempfile.TemporaryDirectory() as folder,
            mock.patch("torchvision.datasets.CIFAR10", NoiseReader),
            mock.patch("semilearn.datasets.utils.base_dir", folder),  # it writes its split into it
        ):
            config = usb.get_config(settings)
            builder = usb.get_net_builder(config.net, config.net_from_name)
            return usb.get_algorithm(config, builder, tb_log=None, logger=logging.getLogger("usb"))

    def turn(self, steps: int) -> Iterator[Spent]:
        """See ``Side``: the loop of ``AlgorithmBase.train``, with a clock in it."""
        algorithm = self.algorithm
        algorithm.epoch, self.turns = self.turns, self.turns + 1
        algorithm.call_hook("before_train_epoch")
        loaders = algorithm.loader_dict
        batches = zip(loaders["train_lb"], loaders["train_ulb"], strict=False)
        for _ in range(steps):
            began = now(self.device)
            labeled, unlabeled = next(batches)
            algorithm.call_hook("before_train_step")
            batch = self._send(labeled | unlabeled)
            loaded = now(self.device)
            algorithm.out_dict, algorithm.log_dict = algorithm.train_step(**batch)
            algorithm.call_hook("after_train_step")
            algorithm.it += 1
            yield Spent(loaded - began, now(self.device) - loaded)

    def _send(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        if self.device.type == "cuda":
            sent: dict[str, Tensor] = self.algorithm.process_batch(**batch)
            return sent
        with mock.patch.object(torch.Tensor, "cuda", lambda tensor, device: tensor):
            return self.algorithm.process_batch(**batch)  # type: ignore[no-any-return]
