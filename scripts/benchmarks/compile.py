"""What ``torch.compile`` saves a training step on a CPU, and after how many steps it has paid.

    python scripts/bench.py compile --net wrn-28-2 [--json scripts/results/bench_compile.jsonl]

Forward and backward pass of the eager and the compiled network on ready tensors take turns, and medians are
compared; compiling is everything up to the end of the first step. Caches of the compiler are left unused.
"""

import argparse
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from measuring import append_line, circumstances, measure
from torch import Tensor

from ssl_mix.cli.terminal import keep_freed_memory
from ssl_mix.models import build_model


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and append a line of JSON if asked to."""
    parser = argparse.ArgumentParser(
        "bench.py compile", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--net", default="wrn-28-2")
    parser.add_argument("--image-size", type=int, default=32)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--backend", default="inductor", help="of torch.compile")
    parser.add_argument("--json", type=Path, help="file to append one line to")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    keep_freed_memory()
    net = build_model(options.net, 10).train().to(memory_format=torch.channels_last)
    shape = (options.batch_size, 3, options.image_size, options.image_size)
    images = torch.randn(shape).to(memory_format=torch.channels_last)
    labels = torch.zeros(options.batch_size, dtype=torch.int64)

    def step(runnable: Callable[..., Tensor]) -> None:
        F.cross_entropy(runnable(images), labels).backward()  # type: ignore[no-untyped-call]

    compiled, began = torch.compile(net, backend=options.backend), time.perf_counter()
    step(compiled)
    spent = time.perf_counter() - began
    turns = {"eager": lambda: step(net), "compiled": lambda: step(compiled)}
    took = measure(turns, options.rounds, torch.device("cpu"))
    saved = took["eager"] - took["compiled"]
    line = {
        "benchmark": "compile",
        **{name: getattr(options, name) for name in ("net", "image_size", "batch_size", "rounds")},
        **{f"{name}_ms": 1000 * seconds for name, seconds in took.items()},
        "compile_seconds": spent,
        "pays_after": math.ceil(spent / saved) if saved > 0 else None,
    }
    print("  ".join(f"{name} {value}" for name, value in line.items()))
    if options.json:
        append_line(options.json, {**line, **circumstances(torch.device("cpu"))})


if __name__ == "__main__":
    main()
