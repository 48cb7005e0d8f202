"""Tables of speed, from the lines of ``scripts/bench.py``."""

import statistics
from collections.abc import Callable, Sequence
from typing import Any

Line = dict[str, Any]
Rows = tuple[Sequence[str], list[list[str]]]
NAMES = {
    "mixup": "Mixup",
    "cutmix": "CutMix",
    "gridmix": "GridMix",
    "smoothmix": "SmoothMix",
    "resizemix": "ResizeMix",
    "saliencymix + saliency (no network)": "SaliencyMix, saliency computed",
    "fmix": "FMix",
    "puzzlemix": "PuzzleMix, saliency given",
}


def algorithms(lines: Sequence[Line]) -> Rows:
    """Steps a second of each semi-supervised algorithm, those of FixMatch being 1."""
    seconds = lines[-1]["seconds"]
    rows = [[f"`{name}`", f"{seconds['fixmatch'] / value:.2f}"] for name, value in seconds.items()]
    half = -(-len(rows) // 2)
    others = [*rows[half:], ["", ""]]
    columns = ["algorithm", "steps a second, `fixmatch` = 1"]
    return columns * 2, [own + other for own, other in zip(rows[:half], others, strict=False)]


def mixers(lines: Sequence[Line]) -> Rows:
    """Each mixer at 32 and at 224 pixels, beside timm's and one ``torch.lerp``."""
    small, large = ({line["size"][-1]: line["rows"] for line in lines}[side] for side in (32, 224))
    columns = ["mixer"]
    for side in (32, 224):
        columns += [f"images/s at {side}", "x timm batch", "x timm elem", "time over the floor"]
    return columns, [
        [name, *speeds(key, small[key]), *speeds(key, large[key])] for key, name in NAMES.items()
    ]


def speeds(key: str, row: dict[str, float]) -> list[str]:
    """Of one mixer: images a second, their ratios to timm's where it has that mixer, and the floor's."""
    there = key in ("mixup", "cutmix")
    peers = [f"{row[name]:.2f}" if there else "" for name in ("times_timm_batch", "times_timm_elem")]
    return [f"{row['images_per_second']:,.0f}", *peers, f"{row['over_floor']:.1f}"]


def losses(lines: Sequence[Line]) -> Rows:
    """Seconds of DM(CE) over those of cross-entropy, by the size of the logits."""
    compiled = {size(line): line["times_cross_entropy"] for line in lines if line["compile"]}
    columns = ["logits", "function", "module", "compiled function", "published code"]
    rows = []
    for line in lines:
        if not line["compile"]:
            found, own = line["times_cross_entropy"], "decoupled_mixup_cross_entropy"
            ratios = (found[own], found["DecoupledMixupLoss"], compiled.get(size(line), {}).get(own))
            cells = ["" if ratio is None else f"{ratio:.2f}" for ratio in ratios]
            rows.append([str(size(line)), *cells, f"{found['published DM(CE)']:.1f}"])
    return columns, rows


def size(line: Line) -> tuple[int, int]:
    """Samples and classes."""
    return line["samples"], line["classes"]


def predicting(lines: Sequence[Line]) -> Rows:
    """Milliseconds of ``predict`` for an image, and their ratio to those of a bare forward pass."""
    columns = ["network", "images", "forward pass", "in memory", "from files", "decoding alone", "one batch"]
    columns.append("from files in bfloat16")
    rows = []
    for line in lines:
        took = line["ms_an_image"]
        bare = took["forward"]
        parts = (f"{took[name]:.2f} ms, {took[name] / bare:.2f} x" for name in ("memory", "files"))
        others = (f"{took[name]:.2f} ms" for name in ("decode", "one_batch"))
        count = f"{line['images']} of {line['image_size']} pixels"
        half = f"{took['files_bf16']:.2f} ms" if "files_bf16" in took else ""
        rows.append([line["net"], count, f"{bare:.2f} ms", *parts, *others, half])
    return columns, rows


def weak_pass(lines: Sequence[Line]) -> Rows:
    """Accuracy and step of FixMatch with the weak views together with the others and apart."""
    columns = ["measured", "together", "apart", "apart against together"]
    rows = []
    for line in lines:
        if "accuracy" in line:
            cells = [f"{statistics.mean(line['accuracy'][way]):.1f}" for way in ("together", "apart")]
            seeds = len(line["accuracy"]["apart"])
            what = f"accuracy %, {line['labels']} labels, {line['steps']} steps, {seeds} seeds"
            rows.append([what, *cells, f"{line['gain']:+.1f} +- {line['half_interval']:.1f}"])
        for amp, name in (("off", "float32"), ("bf16", "bfloat16")) if "step_ms" in line else ():
            joint, apart = (line["step_ms"][f"{way} {amp}"] for way in ("together", "apart"))
            what = f"step, {line['net']}, {name}"
            rows.append([what, f"{joint:.0f} ms", f"{apart:.0f} ms", f"{joint / apart:.2f} x as fast"])
    return columns, rows


def precision(lines: Sequence[Line]) -> Rows:
    """Passes of networks in float32 and bfloat16, and the accuracy of FixMatch."""
    columns = ["measured", "float32", "bfloat16", "bfloat16 against float32"]
    rows = []
    for line in lines:
        if "net" in line:
            what = f"{line['images']} images of {line['image_size']} pixels, {line['net']}"
            cells = [f"{1000 * line[name]:.0f} ms" for name in ("exact", "halved")]
            rows.append([what, *cells, f"{line['gain']:.2f} x as fast"])
        else:
            cells = [f"{statistics.mean(line['accuracy'][way]):.1f}" for way in ("off", "bf16")]
            seeds = len(line["accuracy"]["off"])
            what = f"accuracy %, {line['labels']} labels, {line['steps']} steps, {seeds} seeds"
            rows.append([what, *cells, f"{line['gain']:+.1f} +- {line['half_interval']:.1f}"])
    return columns, rows


def compiling(lines: Sequence[Line]) -> Rows:
    """What ``torch.compile`` saves a training step on a CPU, and after how many steps it has paid."""
    columns = ["network", "images", "eager ms", "compiled ms", "compiling s", "pays after"]
    return columns, [
        [
            line["net"],
            f"{line['batch_size']} of {line['image_size']} pixels",
            *(f"{line[name]:.0f}" for name in ("eager_ms", "compiled_ms", "compile_seconds")),
            "never" if line["pays_after"] is None else f"{line['pays_after']:,} steps",
        ]
        for line in lines
    ]


def steps(lines: Sequence[Line]) -> Rows:
    """A whole step against the bare passes of its network."""
    columns = ["network", "images", "precision", "step ms", "bound ms", "ratio", "augmentation ms", "load"]
    return columns, [
        [
            line["net"],
            str(line["views"]),
            "bfloat16" if line["amp"] == "bf16" else "float32",
            *(f"{line[name]:.0f}" for name in ("step_ms", "bound_ms")),
            f"{line['step_over_bound']:.3f}",
            f"{line['parts']['augmentation']:.1f}",
            f"{line['load']:.1f}" if "load" in line else "",
        ]
        for line in lines
    ]


def toolkits(lines: Sequence[Line]) -> Rows:
    """Iterations beside USB's."""
    columns = ["algorithm", "labeled images", "side", "data ms", "step ms", "times as fast as USB", "load"]
    rows = []
    for line in lines:
        for side, found in line["sides"].items():
            cells = [f"{found[name]:.0f}" for name in ("data_ms", "step_ms")]
            ratio = f"{found['ratio']:.2f}" if "ratio" in found else ""
            load = f"{line['load']:.1f}" if "load" in line else ""
            rows.append([line["algorithm"], str(line["batch_size"]), side, *cells, ratio, load])
    return columns, rows


TABLES: dict[str, tuple[str, Callable[[Sequence[Line]], Rows]]] = {
    "speed-mixers": ("bench_mixers", mixers),
    "speed-losses": ("bench_losses", losses),
    "speed-predict": ("bench_predict", predicting),
    "speed-weak-pass": ("bench_weak_pass", weak_pass),
    "speed-precision": ("bench_precision", precision),
    "speed-compile": ("bench_compile", compiling),
    "speed-step": ("bench_step", steps),
    "speed-toolkits": ("bench_ssl_step", toolkits),
    "speed-algorithms": ("bench_algorithms", algorithms),
}
