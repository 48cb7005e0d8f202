"""What ``ssl-mix suggest`` and ``ssl-mix audit`` are worth on images with known labels.

``python scripts/labeling_study.py suggest --root DIR --net WEIGHTS --cache DIR`` lets every method choose
images of ROOT/train to label, and trains the linear probe and FixMatch with DM/AS with them; ``... audit
...`` gives some labels to other classes and looks how many of them are found. Features are computed once.
JSON lines for each choice of the labels go to ``scripts/results/labeling_suggest.jsonl``
or ``labeling_audit.jsonl``.
"""

import argparse
import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from benchmarks.head_grid import FEATURE_VIEWS, TRAINED
from measuring import append_line, circumstances
from torch import Tensor

from ssl_mix.datasets import Split, choose_split
from ssl_mix.datasets.splits import checksum
from ssl_mix.labeling import METHODS, Pool, out_of_sample, suggest, wrong_labels
from ssl_mix.passes import backbone
from ssl_mix.randomness import stream_generator
from ssl_mix.recipes.auto import chosen_options
from ssl_mix.recipes.ladder import PROBE, Rung, head_on, run_of
from ssl_mix.runs.features import Features
from ssl_mix.runs.given import Given
from ssl_mix.runs.head import begin_head, cached_features
from ssl_mix.runs.prepared import read_data
from ssl_mix.transfer.head_net import standardized

CPU = torch.device("cpu")
FIXMATCH = Rung(
    "fixmatch + DM/AS",
    "fixmatch",
    {"mix": "dm-as", "unlabeled_ratio": 4, "head_start": "prototypes", **TRAINED},
)
CUTS = (25, 50, 75, 100, 150)
Line = dict[str, Any]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and write a line for each cell."""
    asked = read(arguments)
    torch.set_num_threads(asked.threads)
    options = chosen_options(
        {
            "train": str(asked.root / "train"),
            "test": str(asked.root / "test"),
            "net": asked.net,
            "image_size": asked.image_size,
            "crop": "pad",
            "feature_views": FEATURE_VIEWS,
            "tta": False,
            "threads": asked.threads,
        }
    )
    run = run_of(PROBE, options).settled()
    features = cached_features(run, read_data(run, Given(), None), asked.cache)
    out = asked.out or Path(__file__).parent / "results" / f"labeling_{asked.what}.jsonl"
    found: Callable[..., Iterator[Line]] = suggested if asked.what == "suggest" else audited
    for count in asked.labels:
        for seed in range(asked.first_seed, asked.first_seed + asked.seeds):
            for line in found(features, options, count, seed, asked):
                append_line(out, line | setting(asked))
                print(line, flush=True)


def read(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("what", choices=["suggest", "audit"])
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--net", required=True)
    parser.add_argument("--image-size", type=int, default=128)
    parser.add_argument("--labels", type=int, nargs="+", default=[2], help="for each class; 0: none yet")
    parser.add_argument("--more", type=int, default=100, help="labels that are added")
    parser.add_argument("--flipped", type=float, default=0.05, help="share of the labels that are wrong")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cache", type=Path, required=True, help="folder that keeps the features")
    parser.add_argument("--out", type=Path)
    return parser.parse_args(arguments)


def suggested(
    features: Features, options: Line, count: int, seed: int, asked: argparse.Namespace
) -> Iterator[Line]:
    """A line for the labels as they are, and one for what each method adds to them."""
    labels, classes = features.data.train.labels, features.data.classes
    split = nothing_labeled(len(labels), seed)
    if count:
        split = choose_split(labels, len(classes), per_class=count, seed=seed, classes=classes)
    pool = pool_of(features, options, split, with_classifier=count > 0)
    cell = {"labels_per_class": count, "seed": seed}
    if count:
        yield cell | {"by": "none", "more": 0, **worth(features, options, split)}
    for name, method in METHODS.items():
        if method.asks_classifier and not count:
            continue
        began = time.perf_counter()
        chosen = suggest(pool, asked.more, name, seed=seed).indices
        seconds = time.perf_counter() - began
        added = with_labels(split, torch.tensor(split.unlabeled)[chosen].tolist())
        yield cell | {"by": name, "more": len(chosen), "seconds": seconds, **worth(features, options, added)}


def nothing_labeled(count: int, seed: int) -> Split:
    """The split in which every image is unlabeled."""
    return Split((), (), tuple(range(count)), seed, checksum(()))


def with_labels(split: Split, added: Sequence[int]) -> Split:
    """The split in which more images are labeled."""
    labeled = tuple(sorted({*split.labeled, *added}))
    unlabeled = tuple(sorted({*split.unlabeled} - {*labeled}))
    return dataclasses.replace(split, labeled=labeled, unlabeled=unlabeled, sha256=checksum(labeled))


def pool_of(features: Features, options: Line, split: Split, *, with_classifier: bool) -> Pool:
    """What there is to choose from, as the head that ``ssl-mix auto`` trains on the labels sees it."""
    rows = standardized(plain(features, features.table), features.center)
    unlabeled, labeled = (torch.tensor(part, dtype=torch.int64) for part in (split.unlabeled, split.labeled))
    pool = Pool(rows[unlabeled], rows[labeled])
    if not with_classifier:
        return pool
    head = backbone(head_on(run_of(FIXMATCH, options), features, split).teacher.net).head
    with torch.inference_mode():
        return pool._replace(probabilities=head(pool.features).softmax(dim=1))


def plain(features: Features, table: Tensor) -> Tensor:
    """The rows of a table that are of unaltered images to learn from."""
    [rows] = features.data.train.images.batches([torch.arange(len(features.data.train.labels))], CPU)
    return table[rows]


def worth(features: Features, options: Line, split: Split) -> Line:
    """Accuracies on the test images of the probe and of FixMatch with DM/AS, and how many classes have
    labels."""
    trainer, _ = begin_head(run_of(FIXMATCH, options), features, split)
    *_, record = trainer.fit()
    return {
        "classes": len({*features.data.train.labels[list(split.labeled)].tolist()}),
        "probe_accuracy": features.probe_scores(split)["probe_accuracy"],
        "auto_accuracy": record["test_accuracy"],
    }


def audited(
    features: Features, options: Line, count: int, seed: int, asked: argparse.Namespace
) -> Iterator[Line]:
    """A line with what the list finds of labels that were given to other classes."""
    true, classes = features.data.train.labels, features.data.classes
    split = choose_split(true, len(classes), per_class=count, seed=seed, classes=classes)
    labeled = torch.tensor(split.labeled)
    given, wrong = flipped(true[labeled], len(classes), asked.flipped, seed)
    began = time.perf_counter()
    rows = plain(features, features.table)[labeled].float()
    found = wrong_labels(out_of_sample(rows, given, len(classes), seed=seed), given)
    order = found.scores.argsort(descending=True, stable=True)
    listed = order[found.suspicious[order]]
    rest = order[~found.suspicious[order]]
    ranked = wrong[torch.cat((listed, rest))].float()
    right = found.suggested[wrong & found.suspicious] == true[labeled][wrong & found.suspicious]
    cuts = [cut for cut in CUTS if cut <= len(ranked)]
    yield {
        "labels_per_class": count,
        "seed": seed,
        "labels": len(labeled),
        "wrong": int(wrong.sum()),
        "listed": len(listed),
        "found": int(wrong[listed].sum()),
        "found_within": {str(cut): int(ranked[:cut].sum()) for cut in cuts},
        "suggested_right": right.float().mean().item(),
        "seconds": time.perf_counter() - began,
    }


def flipped(labels: Tensor, num_classes: int, share: float, seed: int) -> tuple[Tensor, Tensor]:
    """Labels of which a share is of another class, drawn evenly, and which those are."""
    generator = stream_generator(seed, "flipped")
    chosen = torch.randperm(len(labels), generator=generator)[: round(share * len(labels))]
    given, wrong = labels.clone(), torch.zeros(len(labels), dtype=torch.bool)
    given[chosen] += torch.randint(1, num_classes, (len(chosen),), generator=generator)
    wrong[chosen] = True
    return given % num_classes, wrong


def setting(asked: argparse.Namespace) -> Line:
    """How it was measured."""
    return circumstances() | {
        "data": asked.root.name,
        "net": Path(asked.net).name,
        "image_size": asked.image_size,
    }


if __name__ == "__main__":
    main()
