"""What grows with the number of images: the start with many files, and the memories of single images.

    python scripts/benchmarks/scale.py files FOLDER [--json scripts/results/scale.jsonl]
    python scripts/benchmarks/scale.py banks [--most 10000000] [--json scripts/results/scale.jsonl]

``files`` lists the images of a folder with a sub-folder per class and looks at the first bytes of each, as
``ssl-mix train`` does where more than 100,000 images do not fit into memory. ``banks`` takes steps of 448
random pseudo-labels of the pseudo-label bank, of FlexMatch's classes, of those counted anew in each step, and
of ``--balance-classes``, for 10^4 to 10^8 images and 10 to 10^4 classes.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from measuring import append_line, circumstances  # noqa: E402

from ssl_mix.banks import LastClasses, PseudoLabelBank  # noqa: E402
from ssl_mix.datasets.folder import list_labeled  # noqa: E402
from ssl_mix.datasets.glance import glance_all  # noqa: E402
from ssl_mix.quota import ClassQuota  # noqa: E402
from ssl_mix.types import PseudoLabels  # noqa: E402

BATCH, STEPS = 448, 40
CLASSES = (10, 100, 1000, 10_000)


def start(folder: Path) -> dict[str, Any]:
    """Seconds of listing and of looking at the files of a folder, and the memory of the process."""
    before, began, used = psutil.Process().memory_info().rss, time.perf_counter(), time.process_time()
    listing, classes, _ = list_labeled(folder)
    listed = time.perf_counter()
    reading = glance_all(listing.files, None, "")
    looked = time.perf_counter()
    return {
        "files": len(listing.files),
        "classes": len(classes),
        "broken": len(reading.broken),
        "seconds_listing": listed - began,
        "seconds_looking": looked - listed,
        "processor_seconds": time.process_time() - used,
        "memory_before": before,
        "memory": psutil.Process().memory_info().rss,
    }


def bank_steps(images: int, classes: int) -> dict[str, Any]:
    """Bytes of the memories, and median seconds of a step of each."""
    bank, last = PseudoLabelBank(images, classes), LastClasses(images, classes)
    quota = ClassQuota(images, classes)
    draw = torch.Generator().manual_seed(0)
    taken: dict[str, list[float]] = {"bank": [], "last_classes": [], "quota": [], "counted_anew": []}
    for step in range(STEPS):
        pseudo = PseudoLabels(
            torch.randint(images, (BATCH,), generator=draw),
            torch.randint(classes, (BATCH,), generator=draw),
            torch.rand(BATCH, generator=draw),
            torch.randint(2, (BATCH,), generator=draw).float(),
        )
        assert pseudo.indices is not None
        indices = pseudo.indices
        begun = [time.perf_counter()]
        bank.update(pseudo, step)
        begun.append(time.perf_counter())
        last.update(indices, pseudo.labels, pseudo.mask > 0)
        begun.append(time.perf_counter())
        quota.enter_news(quota(pseudo)[1])
        begun.append(time.perf_counter())
        if step % 10 == 0:
            counts = torch.zeros(classes + 1, dtype=torch.int64)
            for part in torch.split(last.label, 2**22):
                counts.scatter_add_(0, part.long() + 1, torch.ones(len(part), dtype=torch.int64))
            assert torch.equal(counts, last.counts)
            taken["counted_anew"].append(time.perf_counter() - begun[-1])
        for name, one, other in zip(taken, begun[:-1], begun[1:], strict=False):
            taken[name].append(other - one)
    medians = {f"seconds_{name}": statistics.median(values[1:]) for name, values in taken.items()}
    return {
        "images": images,
        "classes": classes,
        "batch": BATCH,
        "bytes_bank": sum(buffer.nbytes for buffer in bank.buffers()),
        "bytes_last_classes": sum(buffer.nbytes for buffer in last.buffers()),
        "bytes_quota": sum(buffer.nbytes for buffer in quota.buffers()),
        "resident": psutil.Process().memory_info().rss,
        **medians,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and append lines of JSON if asked to."""
    parser = argparse.ArgumentParser(
        "scale.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("files", "banks"))
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--most", type=int, default=10**7, help="images at most")
    parser.add_argument("--json", type=Path, help="file to append lines to")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    if options.what == "files":
        found = [start(options.folder)]
    else:
        sizes = [10**power for power in range(4, 9) if 10**power <= options.most]
        found = [bank_steps(images, classes) for images in sizes for classes in CLASSES]
    for line in found:
        print(line, flush=True)
        if options.json:
            append_line(options.json, {"benchmark": f"scale {options.what}", **line, **circumstances()})


if __name__ == "__main__":
    main()
