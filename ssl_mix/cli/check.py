"""``ssl-mix check``: what ``ssl-mix train`` would do, without doing it."""

import collections
import itertools
import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import psutil  # type: ignore[import-untyped]
import torch
from rich.table import Table
from torch import nn

from ssl_mix.algorithms import ALGORITHMS
from ssl_mix.cli.copies import copy_rows
from ssl_mix.cli.terminal import console, keep_freed_memory, reading_bar, say, warn
from ssl_mix.cli.train import built_from, explain
from ssl_mix.cli.words import Words, read_words
from ssl_mix.datasets import DataSet, ImageSet, Split
from ssl_mix.datasets.copies import parts_of
from ssl_mix.datasets.decode_many import read_all
from ssl_mix.datasets.formats import suffix_of, suffixes
from ssl_mix.datasets.listing import look_through
from ssl_mix.datasets.originals import Files
from ssl_mix.datasets.packed import Paths
from ssl_mix.engine.config import TrainConfig
from ssl_mix.engine.trainer import Trainer
from ssl_mix.errors import counts_of
from ssl_mix.models import default_network
from ssl_mix.runs.data_options import PATHS, DataOptions
from ssl_mix.runs.folder import check_run_folder
from ssl_mix.runs.places import check_outside
from ssl_mix.runs.prepared import Prepared, prepare

NAMED = 3  # files
ANY = "supervised"  # learns from whatever has labels
MAX_ROWS = 20
WARM_UP, TIMED = 1, 2
Rows = list[tuple[str, str]]


def check(arguments: Sequence[str]) -> None:
    """Read everything that ``ssl-mix train`` would, and say what it would do; makes no folder.

    Args:
        arguments: the words behind ``ssl-mix check``: those of ``ssl-mix train``, of which ``--out`` is not
            needed.

    Raises:
        ValueError: what ``ssl-mix train`` would refuse.
    """
    words = read_words(with_algorithm(arguments))
    if words.help:
        explain(words, "check")
        return
    prepared = read(words)
    print_classes(prepared.data, prepared.split)
    copies = copy_rows(prepared.data, prepared.split)
    print_rows("Images", [*image_rows(prepared.data), *file_rows(prepared), *copies])
    print_rows("Network", network_rows(prepared))
    print_rows("Training", [*training_rows(prepared), *cost_rows(measure(prepared.trainer), prepared)])
    for note in prepared.notes:
        warn(note)
    say("Nothing was trained or written: ssl-mix train with the same words does it.")


def with_algorithm(arguments: Sequence[str]) -> list[str]:
    """The words, with an algorithm where they begin with an option: data can be looked at without one."""
    if (
        not arguments
        or not arguments[0].startswith("--")
        or {*arguments} & {*ALGORITHMS, "--help", "--help-all"}
    ):
        return list(arguments)
    warn(f"no algorithm is named: checked as for {ANY}, others are in ssl-mix list algorithms")
    return [ANY, *arguments]


def read(words: Words) -> Prepared:
    """The run that the words describe, ready to start."""
    built = built_from(words)
    if words.out is not None:
        check_run_folder(words.out, overwrite=words.overwrite)
        check_outside(built.run.data.folders, words.out, "out")
    with reading_bar() as progress:
        return prepare(built.run, progress=progress)


def class_counts(data: DataSet, split: Split) -> dict[str, list[int | None]]:
    """How many images of each class each part holds, with None where labels are unknown."""
    counts: dict[str, list[int | None]] = {}
    for name, (images, positions) in parts_of(data, split).items():
        labels = images.labels[torch.tensor(positions)]
        known = bool((labels >= 0).all())
        found: list[int] = torch.bincount(labels.clamp(min=0), minlength=len(data.classes)).tolist()
        counts[name] = [count if known else None for count in found]
    return counts


def print_classes(data: DataSet, split: Split) -> None:
    """The table of images by class and part; of many classes the first, and the fewest and most of the
    others."""
    counts, parts = class_counts(data, split), parts_of(data, split)
    table = Table("class", *parts, title=f"{data.name}: images by class and part", title_justify="left")
    shown = len(data.classes) if len(data.classes) <= MAX_ROWS + 1 else MAX_ROWS
    for number in range(shown):
        table.add_row(data.classes[number], *(cell(counts[name][number : number + 1]) for name in parts))
    if shown < len(data.classes):
        table.add_row(
            f"{len(data.classes) - shown} more, each", *(cell(counts[name][shown:]) for name in parts)
        )
    table.add_section()
    table.add_row("all", *(f"{len(positions):,}" for _, positions in parts.values()))
    console.print(table)


def cell(counts: Sequence[int | None]) -> str:
    """One number, or the fewest and the most."""
    known = [count for count in counts if count is not None]
    if not known:
        return "?"
    low, high = min(known), max(known)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def image_rows(data: DataSet) -> Rows:
    """Sizes in the files, as stored, and as the network sees them."""
    files = [Path(file) for images in sets_of(data) for file in images.files or ()]
    shape = data.train.images.shape
    seen = data.augmentation.seen(shape)
    rows = [("stored", by(shape)), ("seen by the network", by(seen))]
    return [("found", size_range(Files(files).sizes())), *rows] if files else rows


def sets_of(data: DataSet) -> list[ImageSet]:
    """The training and the test images, where there are some."""
    return [images for images in (data.train, data.test) if images is not None]


def by(shape: Sequence[int]) -> str:
    """A shape (C, H, W) in words."""
    return f"{shape[2]}x{shape[1]} pixels, {'gray' if shape[0] == 1 else 'RGB'}"


def size_range(sizes: Iterable[tuple[int, int]]) -> str:
    """The smallest and the largest of (width, height), by their area."""
    ordered = sorted(sizes, key=lambda size: size[0] * size[1])
    (width, height), (wide, high) = ordered[0], ordered[-1]
    to = f" to {wide}x{high} ({len(ordered):,} sizes)" if len(ordered) > 1 else ""
    return f"{width}x{height}{to} pixels"


def file_rows(prepared: Prepared) -> Rows:
    """Suffixes of the files that are read, that cannot be read as images, and that are passed over."""
    used = {os.path.abspath(file) for images in sets_of(prepared.data) for file in images.files or ()}
    if not used:
        return []
    others = [file for file in files_below(prepared.run.data) if os.path.abspath(file) not in used]
    images = [file for file in others if suffix_of(file) in suffixes()]
    broken = {file for file, _ in read_all(images, 8, keep=False).broken}
    told = [("broken", counted(broken)), *unread_rows(prepared.data)]
    return [
        ("files that are read", counted(map(Path, used))),
        *told,
        ("left out, see the notes", counted(file for file in images if file not in broken)),
        ("passed over, no images", counted(file for file in others if file not in set(images))),
    ]


def unread_rows(data: DataSet) -> Rows:
    """A row of the files that are broken though they begin as images, where no more was looked at so far."""
    glanced = [images for images in sets_of(data) if images.files is not None and images.digests is None]
    with reading_bar() as progress:
        found = [read_all(Paths(images.files or ()), 8, keep=False, progress=progress) for images in glanced]
    broken = [file for reading in found for file, _ in reading.broken]
    more = f" and {len(broken) - NAMED} more" if len(broken) > NAMED else ""
    named = ", ".join(map(str, broken[:NAMED])) + more
    return [("broken, black in training", named or "none")] if glanced else []


def files_below(options: DataOptions) -> list[Path]:
    """Every file in the folders of images that the options name, but for hidden ones."""
    named = [Path(value) for name in PATHS if (value := getattr(options, name)) is not None]
    if not named and options.data == "folder":
        named = [Path(options.data_dir, name) for name in ("train", "test")]
    looked = [look_through(folder) for folder in named if folder.is_dir()]
    return sorted({file for found in looked for file in (*found.images, *found.others)})


def counted(files: Iterable[Path]) -> str:
    """How many files there are of each suffix."""
    counts = collections.Counter(file.suffix.lower() or "no suffix" for file in files)
    return ", ".join(f"{count:,} {suffix}" for suffix, count in counts.most_common()) or "none"


def network_rows(prepared: Prepared) -> Rows:
    """The network, its parameters and its first weights."""
    trainer = prepared.trainer
    options, student = prepared.run.net.resolved(), trainer.student
    threads = trainer.config.threads or torch.get_num_threads()
    total = number_of(student.parameters())
    trained = number_of(parameter for parameter in student.parameters() if parameter.requires_grad)
    weights = {"none": "random", "default": "of the library"}.get(str(options.pretrained), options.pretrained)
    return [
        ("name", options.net or default_network(trainer.feed.shape[1])),
        ("parameters", f"{total:,}" + (f", {trained:,} of them trained" if trained < total else "")),
        ("input", by(trainer.feed.shape)),
        ("first weights", str(weights)),
        ("device", f"{trainer.device}, {counts_of(threads, 'thread')}"),
    ]


def number_of(parameters: Iterable[nn.Parameter]) -> int:
    """How many numbers they hold."""
    return sum(parameter.numel() for parameter in parameters)


def training_rows(prepared: Prepared) -> Rows:
    """Views, steps, and how often each image is seen."""
    algorithm, config, split = prepared.run.algorithm, prepared.run.config, prepared.split
    size = config.batch_size
    rows = [
        ("algorithm", f"{type(algorithm).__name__}({algorithm.extra_repr()})"),
        ("steps", f"{config.steps:,}"),
        ("optimizer", optimizer_words(config)),
        ("labeled", seen(size, config.steps, len(split.labeled), algorithm.labeled_views)),
    ]
    if algorithm.unlabeled_views:
        drawn = size * algorithm.unlabeled_ratio
        rows.append(("unlabeled", seen(drawn, config.steps, len(split.unlabeled), algorithm.unlabeled_views)))
    elif split.unlabeled:
        rows.append(("unlabeled", "not used by this algorithm"))
    return rows


def seen(size: int, steps: int, count: int, views: Sequence[str]) -> str:
    """Images a step, views and epochs of a part."""
    epochs = size * steps / count
    told = f"{epochs:,.1f}" if epochs < 100 else f"{epochs:,.0f}"
    return f"{size} a step, views {' '.join(views)}, {told} epochs"


def optimizer_words(config: TrainConfig) -> str:
    """What recipes differ in: optimizer, rate and its schedule, weight decay and the teacher's decay."""
    return (
        f"{config.optimizer}, rate {config.lr:g} ({config.schedule}), weight decay {config.weight_decay:g}, "
        f"decay of the teacher {config.ema_decay:g}"
    )


class Cost(NamedTuple):
    """What was measured: seconds of a step, and bytes."""

    seconds: float
    memory: int


def measure(trainer: Trainer) -> Cost:
    """Take a step to warm up and two timed ones, fewer where the run has fewer; the trainer is spent then."""
    on_gpu = trainer.device.type == "cuda"
    if not on_gpu:
        keep_freed_memory()  # as training does; what the process holds is then the most that it held
    times = [time.perf_counter()]
    for raw in itertools.islice(trainer.feed.batches(0), min(trainer.config.steps, WARM_UP + TIMED)):
        trainer.train_step(raw)
        if on_gpu:
            torch.cuda.synchronize(trainer.device)
        times.append(time.perf_counter())
    timed = times[-min(TIMED + 1, len(times)) :]
    memory = torch.cuda.max_memory_allocated(trainer.device) if on_gpu else psutil.Process().memory_info().rss
    return Cost((timed[-1] - timed[0]) / (len(timed) - 1), memory)


def cost_rows(cost: Cost, prepared: Prepared) -> Rows:
    """The estimate of time and memory."""
    where = "GPU memory" if prepared.trainer.device.type == "cuda" else "memory"
    time_needed = duration(cost.seconds * prepared.run.config.steps)
    return [
        ("time", f"{cost.seconds:.3g} s a step, {time_needed} in all without evaluations: here, now"),
        (where, f"{cost.memory / 2**30:.2f} GiB: here, now"),
    ]


def duration(seconds: float) -> str:
    """Seconds, minutes or hours."""
    units = (("hours", 3600.0), ("minutes", 60.0))
    name, length = next((unit for unit in units if seconds >= 2 * unit[1]), ("seconds", 1.0))
    return f"{seconds / length:,.1f} {name}"


def print_rows(title: str, rows: Iterable[tuple[str, str]]) -> None:
    """A table of names and what they are."""
    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column()
    table.add_column(overflow="fold")  # the whole of a long path
    for name, value in rows:
        table.add_row(name, value)
    console.print(table)
