"""Tables of speed, from the lines of ``scripts/bench.py``."""

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
    rows = []
    for line in lines:
        took = line["ms_an_image"]
        bare = took["forward"]
        parts = (f"{took[name]:.2f} ms, {took[name] / bare:.2f} x" for name in ("memory", "files"))
        others = (f"{took[name]:.2f} ms" for name in ("decode", "one_batch"))
        count = f"{line['images']} of {line['image_size']} pixels"
        rows.append([line["net"], count, f"{bare:.2f} ms", *parts, *others])
    return columns, rows


TABLES: dict[str, tuple[str, Callable[[Sequence[Line]], Rows]]] = {
    "speed-mixers": ("bench_mixers", mixers),
    "speed-losses": ("bench_losses", losses),
    "speed-predict": ("bench_predict", predicting),
}
