"""The tables of the checks of a GPU: columns and rows, from the lines of ``scripts/gpu_checks.py``."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

Line = dict[str, Any]
Rows = tuple[Sequence[str], list[list[str]]]
NETWORKS = {
    "eager": "eager",
    "compile": "compiled",
    "reduce-overhead": "compiled, in CUDA graphs",
    "graphed": "eager, in CUDA graphs",
}
LONG_RUN = 2**20


def steps(lines: Sequence[Line]) -> Rows:
    """Every way of a step, in the order of measuring; the peak only where the process was fresh, and where
    all memory is counted."""
    columns = ["step", "network", "ms", "bound ms", "ratio", "busy ms", "host ms", "images/s", "MiB", "hours"]
    rows = []
    for before, line in pairwise([{}, *lines]):
        if "step_ms" not in line:
            continue
        fresh = before.get("command") != line["command"] and line["net"] != "graphed"
        rows.append(
            [
                f"{line['net_name']}, {'bfloat16' if line['amp'] == 'bf16' else 'float32'}",
                way(line),
                *(f"{line[name]:.1f}" for name in ("step_ms", "bound_ms")),
                f"{line['step_over_bound']:.2f}",
                *(f"{line[name]:.1f}" for name in ("busy_ms", "host_ms")),
                f"{line['images_per_second']:,.0f}",
                f"{line['peak_mib']:.0f}" if fresh else "",
                f"{line['step_ms'] * LONG_RUN / 3.6e6:.1f}",
            ]
        )
    return columns, rows


def way(line: Line) -> str:
    """How the step was carried out, in words."""
    free = "" if line["deterministic"] else ", cuDNN free to choose"
    return NETWORKS[line["net"]] + free + (", augmenting ahead" if line["ahead"] else "")


def facts(lines: Sequence[Line]) -> Rows:
    """The machine, and the checks of correctness."""
    found = {line["check"]: line for line in lines}
    machine, parity, tests = (found[name] for name in ("hardware", "parity", "tests"))
    return ["what", "found"], [
        ["GPU", f"{machine['hardware']}, {machine['memory_gib']:.0f} GiB"],
        ["versions", f"torch {machine['torch']}, cuDNN {machine['cudnn']}, Python {machine['python']}"],
        ["bfloat16 product of 8192 x 8192 matrices", f"{machine['matrix_tflops']:.0f} TFLOP/s"],
        ["copying, bytes read and written", f"{machine['copy_gb_per_second']:,.0f} GB/s"],
        ["tests marked `gpu` at that commit", tests["result"].split(", 5")[0]],
        ["views on CPU and GPU differ by at most", f"{parity['views_differ_by']:g}"],
        [
            f"losses of {parity['steps']} steps in float32, CPU and GPU, differ by at most",
            f"{parity['worst_relative_difference']:.1e} of themselves",
        ],
    ]


def training(lines: Sequence[Line]) -> Rows:
    """The run over time."""
    columns = ["step", "seconds", "test accuracy %", "confident pseudo-labels that are right %", "images/s"]
    return columns, [
        [
            str(line["step"]),
            f"{line['seconds']:.0f}",
            f"{100 * line['test_accuracy']:.1f}",
            f"{100 * line['bank_precision']:.1f}",
            f"{line['images_per_second']:,.0f}",
        ]
        for line in lines
        if line["check"] == "train"
    ]
