"""Whether V-PET, the votes of several tunings learned by one network, beats the head that ``auto`` takes.

``python scripts/v_pet_study.py --root DIR --net WEIGHTS --labels 2 --splits 3 --cache DIR`` computes the
features of the images in ROOT/train and ROOT/test once. For each choice of labels it fits the linear probe
and the whitened head, tunes the network by norms and by LoRA, lets all of them vote on the unlabeled images,
and trains a head on the votes: of the probe and the two tunings, which know the labels alone, and of the
whitened head and the two. A JSON line for each choice goes to ``scripts/results/v_pet.jsonl``.
"""

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from measuring import append_line, circumstances
from torch import Tensor

from ssl_mix.algorithms import VPet
from ssl_mix.datasets import DataSet, choose_split
from ssl_mix.engine.trainer import Trainer
from ssl_mix.evaluation import predict_probabilities
from ssl_mix.recipes.auto import chosen_options
from ssl_mix.recipes.build import build_run
from ssl_mix.recipes.ladder import PROBE, RUNGS, run_of
from ssl_mix.runs.features import Features
from ssl_mix.runs.given import Given
from ssl_mix.runs.head import begin_head, cached_features
from ssl_mix.runs.prepared import prepare, read_data

OUT = Path(__file__).parent / "results" / "v_pet.jsonl"
TUNINGS = ("norms", "lora")
STUDENTS = {"v-pet": ("probe", *TUNINGS), "v-pet, whitened": ("whitened", *TUNINGS)}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and write a line for each choice of labels."""
    asked = read(arguments)
    torch.set_num_threads(asked.threads)
    names = ("net", "image_size", "threads", "feature_views")
    options = chosen_options({name: getattr(asked, name) for name in names} | parts(asked.root))
    run = run_of(PROBE, options).settled()
    features = cached_features(run, read_data(run, Given(), None), asked.cache)
    about = {"data": asked.root.name, "image_size": asked.image_size, "steps": asked.steps}
    about |= circumstances(torch.device("cpu"))
    for count in asked.labels:
        for seed in range(asked.first_split, asked.first_split + asked.splits):
            began = time.perf_counter()
            found = measured(features, options, asked.steps, count, seed)
            line = {"labels_per_class": count, "split": seed, "accuracy": found}
            append_line(asked.out, line | {"seconds": time.perf_counter() - began} | about)
            print(json.dumps(line), flush=True)


def read(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--net", required=True)
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--feature-views", type=int, default=1)
    parser.add_argument("--labels", type=int, nargs="+", default=[2])
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument("--first-split", type=int, default=2, help="auto's constants were chosen on others")
    parser.add_argument("--steps", type=int, default=40, help="of each tuning")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cache", type=Path, required=True, help="folder that keeps the features")
    parser.add_argument("--out", type=Path, default=OUT)
    return parser.parse_args(arguments)


def parts(root: Path) -> dict[str, str]:
    """Where the images are."""
    return {"train": str(root / "train"), "test": str(root / "test")}


def measured(
    features: Features, options: dict[str, Any], steps: int, count: int, seed: int
) -> dict[str, float]:
    """Accuracies on the test part, of each way to learn one choice of labels."""
    data = features.data
    split = choose_split(
        data.train.labels, len(data.classes), per_class=count, seed=seed, classes=data.classes
    )
    accuracies, votes = {}, {}
    for rung in RUNGS:
        trainer, _ = begin_head(run_of(rung, options), features, split)
        accuracies[rung.name], votes[rung.name] = taught(trainer, data)
    for tuning in TUNINGS:
        chosen = {**options, "tune": tuning, "steps": steps, "batch_size": 16, "seed": seed}
        trainer = prepare(build_run("fine-tuning", chosen).run, features=features, split=split).trainer
        accuracies[tuning], votes[tuning] = taught(trainer, features.images)
    for name, teachers in STUDENTS.items():
        chosen = {**options, "tune": "head", "head_start": "whitened", "teachers": teachers, "seed": seed}
        trainer, _ = begin_head(build_run("v-pet", chosen).run.settled(), features, split)
        assert isinstance(trainer.algorithm, VPet)
        trainer.algorithm.cast(torch.stack([votes[teacher] for teacher in teachers], dim=1))
        accuracies[name], _ = taught(trainer, data)
    return accuracies


def taught(trainer: Trainer, data: DataSet) -> tuple[float, Tensor]:
    """Train to the end: accuracy on the test part, and the class of each unlabeled image, (U,)."""
    *_, record = trainer.fit()
    answers = predict_probabilities(
        trainer.teacher.net,
        data.train.images,
        data.augmentation,
        trainer.device,
        indices=torch.tensor(trainer.split.unlabeled),
    )
    return record["test_accuracy"], answers.argmax(dim=1)


if __name__ == "__main__":
    main()
