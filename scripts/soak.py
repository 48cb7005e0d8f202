"""Whether a long run stays as it began: memory, open files and the time of a step over 20,000 steps.

    python scripts/soak.py [--streamed] [--json scripts/results/soak.jsonl]

FixMatch on digits with a small network, as ``ssl-mix train`` runs it: with records, evaluations,
checkpoints and TensorBoard events. It is looked at 20 times; the first tenth of the run is for warming up.
With ``--streamed`` the digits are files that a worker process reads again and again, whose memory counts too:
pages that processes share count once.
Says, and exits with 1 where it is not so, that memory grows by less than 1 % after that, that no open file is
added, and that the median of the last quarter's seconds a step is within a tenth of the first quarter's.
Seconds are those of the processor, so that other programs do not count.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import psutil  # type: ignore[import-untyped]
import torch
from measuring import append_line, circumstances
from PIL import Image

from ssl_mix.cli.terminal import keep_freed_memory
from ssl_mix.datasets import load_digits_data
from ssl_mix.recipes.build import build_run
from ssl_mix.runs.session import start

LOOKS = 20
GROWTH, SLOWER = 1.01, 1.1


class Look(NamedTuple):
    """What the process holds at a step: bytes, open files, and its seconds a step since the last look."""

    step: int
    memory: int
    files: int
    seconds: float


def as_files(folder: Path) -> Path:
    """The digits as image files, a sub-folder per class."""
    data = load_digits_data()
    images = next(
        iter(data.train.images.batches([torch.arange(len(data.train.labels))], torch.device("cpu")))
    )
    for number, (image, label) in enumerate(zip(images, data.train.labels.tolist(), strict=True)):
        (folder / str(label)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[0].numpy()).save(folder / str(label) / f"{number}.png")
    return folder


def memory_of(process: psutil.Process) -> int:
    """Bytes that a process and its workers hold: the files that it has mapped, and the other pages of all of
    them, one that k processes share for 1 / k in each."""
    family = [_pages(each.pid) for each in (process, *process.children(recursive=True))]
    mapped = family[0]["Rss"] - family[0]["Anonymous"] - family[0]["Pss_Shmem"]
    return mapped + sum(pages["Pss_Anon"] + pages["Pss_Shmem"] for pages in family)


def _pages(pid: int) -> dict[str, int]:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    return {name: 1024 * int(size.split()[0]) for name, _, size in (line.partition(":") for line in lines)}


def soak(folder: Path, steps: int, *, streamed: bool) -> list[Look]:
    """Train, and look at the process every twentieth of the steps."""
    every = steps // LOOKS
    often = {"log_every": 20, "eval_every": every // 2, "checkpoint_every": every // 2}
    source: dict[str, Any] = {"data": "digits"}
    if streamed:
        files = as_files(folder.parent / "digits")
        source = {"train": str(files), "image_size": 8, "memory_gb": 1e-9, "workers": 1}
    options = {**source, "labels": 40, "batch_size": 8, "steps": steps, "threads": 1, **often}
    session = start(build_run("fixmatch", {**options, "unlabeled_ratio": 2}).run, folder)
    process, looks, began = psutil.Process(), [], time.process_time()
    for _ in session.steps():
        step = session.trainer.step
        if step % every == 0:
            now = time.process_time()
            memory = memory_of(process)
            looks.append(Look(step, memory, process.num_fds(), (now - began) / every))
            print(
                f"step {step:6}  {memory / 2**20:7.1f} MiB  {looks[-1].files} files  "
                f"{1000 * looks[-1].seconds:.2f} ms a step",
                flush=True,
            )
            began = time.process_time()
    return looks


def verdict(looks: Sequence[Look]) -> dict[str, Any]:
    """The ratios that are promised, and whether they hold."""
    warm = looks[len(looks) // 10 - 1 :]
    quarter = len(warm) // 4
    slower = statistics.median(look.seconds for look in warm[-quarter:]) / statistics.median(
        look.seconds for look in warm[:quarter]
    )
    growth = max(look.memory for look in warm) / warm[0].memory
    added = warm[-1].files - warm[0].files
    return {
        "memory_growth": growth,
        "files_added": added,
        "seconds_ratio": slower,
        "steady": growth < GROWTH and added <= 0 and slower < SLOWER,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, print, and append a line of JSON if asked to."""
    parser = argparse.ArgumentParser(
        "soak.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--streamed", action="store_true", help="read the images from files while training")
    parser.add_argument("--json", type=Path, help="file to append one line to")
    options = parser.parse_args(arguments)
    if options.steps < LOOKS * 2:
        sys.exit(f"soak.py: --steps must be at least {LOOKS * 2}, got {options.steps}")
    torch.set_num_threads(1)
    keep_freed_memory()
    with tempfile.TemporaryDirectory() as folder:
        looks = soak(Path(folder) / "run", options.steps, streamed=options.streamed)
    found = verdict(looks)
    print(found)
    if options.json:
        columns = {name: [getattr(look, name) for look in looks] for name in Look._fields}
        line = {"benchmark": "soak", "streamed": options.streamed, "steps": options.steps, **found, **columns}
        append_line(options.json, {**line, **circumstances(torch.device("cpu"))})
    sys.exit(0 if found["steady"] else 1)


if __name__ == "__main__":
    main()
