"""Speed of class probabilities of many images against the bare forward pass of the same network.

    python scripts/bench.py predict [--json scripts/results/bench_predict.jsonl]

The bound runs the network on ready tensors in batches of 32. Beside it: the same images in one batch, which
on a CPU costs more for each; images in memory, as an evaluation during training sees them; and JPEG files, as
``ssl-mix evaluate`` and ``predict`` do, which are decoded in threads meanwhile; "bf16" in bfloat16. All take
turns in one process and medians are compared; the network has one thread.
"""

import argparse
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
from measuring import append_line, circumstances, measure
from PIL import Image
from torch import nn

from ssl_mix.augment import Augmentation
from ssl_mix.cli.terminal import keep_freed_memory
from ssl_mix.datasets import ResidentImages
from ssl_mix.datasets.ahead import FilesAhead
from ssl_mix.datasets.originals import Form
from ssl_mix.evaluation import predict_probabilities
from ssl_mix.models import build_model
from ssl_mix.runs.predicting import computing

BATCH, SIDE = 32, 256
CPU = torch.device("cpu")


def work(net: nn.Module, folder: Path, count: int, size: int) -> dict[str, Callable[[], object]]:
    """The bound and what is held against it, as functions to be timed."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8, generator=generator)
    augmentation = Augmentation(mean=(0.5,) * 3, std=(0.25,) * 3)
    ready = augmentation.normalize(images)
    files = [folder / f"{number}.jpg" for number in range(count)]
    for file in files:
        coarse = torch.randint(0, 256, (SIDE // 8, SIDE // 8, 3), dtype=torch.uint8, generator=generator)
        Image.fromarray(coarse.numpy()).resize((SIDE, SIDE)).save(file)

    @torch.inference_mode()
    def forward(size: int) -> None:
        for batch in torch.split(ready, size):
            net(batch)

    def predict(source: ResidentImages | FilesAhead) -> object:
        return predict_probabilities(net, source, augmentation, CPU)

    def halved(function: Callable[[], object]) -> None:
        with computing("bf16", CPU):
            function()

    exact: dict[str, Callable[[], object]] = {
        "forward": lambda: forward(BATCH),
        "one_batch": lambda: forward(count),
        "memory": lambda: predict(ResidentImages(images)),
        "files": lambda: predict(FilesAhead(files, Form(size))),
        "decode": lambda: list(
            FilesAhead(files, Form(size)).batches(torch.split(torch.arange(count), BATCH), CPU)
        ),
    }
    three = ("forward", "memory", "files")
    return exact | {f"{name}_bf16": partial(halved, exact[name]) for name in three}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and append a line of JSON if asked to."""
    parser = argparse.ArgumentParser(
        "bench.py predict", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--net", default="timm:tf_efficientnet_lite0")
    parser.add_argument("--images", type=int, default=420)
    parser.add_argument("--image-size", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="file to append one line to")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    keep_freed_memory()
    net = build_model(options.net, 50).eval()
    with tempfile.TemporaryDirectory() as folder:
        medians = measure(work(net, Path(folder), options.images, options.image_size), options.rounds, CPU)
    milliseconds = {name: 1000 * seconds / options.images for name, seconds in medians.items()}
    ratios = {f"{name}_over_forward": medians[name] / medians["forward"] for name in ("memory", "files")}
    for name, value in milliseconds.items():
        print(f"{name:14}{value:8.2f} ms an image{value / milliseconds['forward']:8.2f} x the forward pass")
    if options.json:
        told = {"net": options.net, "images": options.images, "image_size": options.image_size}
        line = {"benchmark": "predict", **told, **ratios, "ms_an_image": milliseconds}
        append_line(options.json, {**line, "rounds": options.rounds, **circumstances(CPU)})


if __name__ == "__main__":
    main()
