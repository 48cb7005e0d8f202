"""Trainings in one process or two, to be compared: ``python two_processes.py RANK STORE OUT`` does all of
:data:`CASES` as one of two."""

import os
import signal
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args

import torch
import torch.distributed as dist
from algorithm_scene import CLASSES, altered_by, blobs, make
from algorithm_tables import everything
from torch import nn
from torch.utils.data import Dataset

from ssl_mix import MixingTerms
from ssl_mix.algorithms import ALGORITHMS, FixMatch, FlexMatch
from ssl_mix.datasets import DataSet, StreamedImages, as_dataset, choose_split
from ssl_mix.engine.config import TrainConfig
from ssl_mix.engine.trainer import Trainer
from ssl_mix.models import adapt
from ssl_mix.rebalance import Rebalance
from ssl_mix.runs.data_options import DataOptions
from ssl_mix.runs.net_options import NetOptions
from ssl_mix.runs.run import Run
from ssl_mix.runs.session import start
from ssl_mix.runs.stopping import Stopped
from ssl_mix.targets import Targets

Case = tuple[str, dict[str, Any], dict[str, Any]]
PARTS = ("student", "teacher", "algorithm", "bank", "learned")
BALANCED = Targets(align="labeled", smooth_targets=0.3, balance_classes=True)
# What looks across a batch in other ways than an algorithm with its defaults: keywords, settings.
OTHERS: dict[str, Case] = {
    "no batch norm": ("flexmatch", {"threshold": 0.3}, {"net": "plain"}),
    "parts of a batch": ("flexmatch", {"threshold": 0.3}, {"accumulate": 3, "clip_grad": 0.1}),
    "odd parts of the pool": ("mixmatch", {"unlabeled_ratio": 2, "mixing": "dm"}, {}),
    "adjusted targets": ("flexmatch", {"threshold": 0.3, "targets": BALANCED}, {}),
    "a head of its own": ("fixmatch", {"mixing": MixingTerms(mix="dm-as", mix_head="own")}, {}),
    "hidden layers": ("supervised", {"mixing": MixingTerms(mix="dm", mixer="manifoldmix")}, {}),
    "gradients of images": ("supervised", {"mixing": MixingTerms(mix="dm", mixer="puzzlemix")}, {}),
    "a learned mixer": ("supervised", {"mixing": MixingTerms(mix="dm", mixer="automix")}, {}),
    "learned strengths": ("fixmatch", {"threshold": 0.3}, {"augment": "ctaugment"}),
    "vat by a long probe": ("vat", {"probe": 10.0}, {}),
    "stochnorm without draws": ("stochnorm", {"probability": 1}, {}),
    "dropout": ("fixmatch", {}, {"net": "dropout"}),
}
ADDONS: tuple[Rebalance, ...] = get_args(Rebalance)[1:]
REBALANCED: dict[str, Case] = {
    name: ("fixmatch", {"threshold": 0.3, "targets": Targets(rebalance=name)}, {"net": "plain"})
    for name in ADDONS
}
EACH: dict[str, Case] = {name: (name, everything(name)[0], {}) for name in ALGORITHMS}  # some guesses count
# With two teachers the input of a ReLU is 0 up to rounding in the third step, and its gradient not the same.
EACH["v-pet"] = ("v-pet", {"teachers": ("first", "second", "third")}, {})
CASES: dict[str, Case] = {**EACH, **OTHERS, **REBALANCED}


def network(kind: str | None) -> nn.Module | None:
    """A network without batch norm, with dropout if so asked; None for the scene's own."""
    if kind is None:
        return None
    torch.manual_seed(0)
    drop = nn.Dropout(0.5 if kind == "dropout" else 0.0)
    return adapt(nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.Tanh(), drop, nn.Linear(8, CLASSES)))


def trained(name: str, keywords: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    """State and last record after three steps."""
    settings = dict(config)
    net, data = network(settings.pop("net", None)), altered_by(settings.pop("augment", "randaugment"))
    times = {"steps": 3, "log_every": 1, "eval_every": 3}
    trainer = make(ALGORITHMS[name](**keywords), net=net, data=data, **times, **settings)
    *_, last = trainer.fit()
    state = trainer.state_dict()
    return {**{part: state[part] for part in PARTS}, "record": last}


def read_in_files() -> tuple[list[int], dict[str, Any]]:
    """Which images a process makes in two steps of FixMatch from images that are made anew, and its state."""
    data = blobs(64)
    made: list[int] = []
    stored: Any = data.train.images
    images = stored.images

    class Made(Dataset[torch.Tensor]):
        def __len__(self) -> int:
            return len(images)

        def __getitem__(self, index: int) -> Any:
            made.append(index)
            return images[index]

    part = replace(data.train, images=StreamedImages(Made(), (1, 8, 8), workers=0))
    return made, after_two_steps(replace(data, train=part, test=None))


def by_own_transform() -> dict[str, Any]:
    """The state after two steps of FixMatch whose weak views a transform draws."""
    stored: Any = blobs(64).train
    data = as_dataset((stored.images.images, stored.labels), weak=noisy, workers=0)
    return after_two_steps(data)


def noisy(image: torch.Tensor) -> torch.Tensor:
    """A transform that draws."""
    return image / 255 + torch.rand(image.shape)


def after_two_steps(data: DataSet) -> dict[str, Any]:
    """The weights that FixMatch then has."""
    split = choose_split(data.train.labels, CLASSES, per_class=4, seed=0, classes=data.classes)
    config = TrainConfig(steps=2, batch_size=4, log_every=9, eval_every=9)
    net = network("plain")
    assert net is not None
    trainer = Trainer(FixMatch(unlabeled_ratio=2), net, data, split, config)
    batches = trainer.feed.batches(0)
    for _ in range(2):
        trainer.train_step(next(batches))
    return trainer.student.state_dict()


def stopped_session(folder: Path) -> tuple[int, int]:
    """Step and signal at which a run ends whose second process gets SIGTERM in its fourth step."""
    data, config = (
        DataOptions(data="digits", labels_per_class=2),
        TrainConfig(steps=8, batch_size=4, threads=1),
    )
    run = Run(FlexMatch(unlabeled_ratio=2), data, NetOptions(net="small-cnn"), config)
    session = start(run, folder)
    try:
        for _ in session.steps():
            if session.trainer.step == 4 and dist.get_rank() == 1:
                os.kill(os.getpid(), signal.SIGTERM)
    except Stopped as stopped:
        return session.trainer.step, stopped.number
    return session.trainer.step, 0


def found_by_one_of_two(rank: str, store: str, out: str) -> None:
    """All cases as one of two processes; what it finds goes to a file in ``out``."""
    torch.set_num_threads(1)
    late = timedelta(seconds=120)
    dist.init_process_group("gloo", init_method=f"file://{store}", timeout=late, rank=int(rank), world_size=2)
    try:
        found = {name: trained(*case) for name, case in CASES.items()}
        stopped = stopped_session(Path(out) / "run")
        content = {"cases": found, "read": read_in_files(), "own": by_own_transform(), "stopped": stopped}
        torch.save(content, Path(out) / f"{rank}.pt")
    finally:
        dist.destroy_process_group()


if __name__ == "__main__":
    found_by_one_of_two(*sys.argv[1:])
