"""Run a benchmark of speed: ``python scripts/bench.py NAME [OPTIONS]``.

    step      a whole FixMatch step against the bare forward and backward pass of its network
    ssl_step  FixMatch and FlexMatch iterations against those of the toolkit USB
    mixers    every mixer against torchvision, timm, kornia and one torch.lerp
    losses    every loss against F.cross_entropy
    predict   evaluating and predicting images against the bare forward pass of the network
    compile   torch.compile of a network on a CPU: what a step saves, and after how many it has paid
    weak_pass FixMatch with and without gradients through the weak views: accuracy and speed
    precision training in bfloat16 on a CPU: speed by the network, and accuracy
    algorithms a step of every semi-supervised algorithm beside one of FixMatch

``python scripts/bench.py NAME --help`` says more; ``--json scripts/results/bench_NAME.jsonl`` keeps the
numbers.
"""

import importlib
import sys

NAMES = ["step", "ssl_step", "mixers", "losses", "predict", "compile", "weak_pass", "precision", "algorithms"]


def main() -> None:
    """Hand the other arguments to the benchmark called by the first."""
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name not in NAMES:
        print(__doc__)
        sys.exit(0 if name in ("-h", "--help") else f"expected one of {', '.join(NAMES)}, got {name!r}")
    importlib.import_module(f"benchmarks.{name}").main(sys.argv[2:])


if __name__ == "__main__":
    main()
