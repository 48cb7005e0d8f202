"""Images a second on one processor by decoder, and how far their pixels are from those of a full decode.

    OMP_NUM_THREADS=1 python scripts/benchmarks/decode.py FOLDER [--json scripts/results/bench_decode.jsonl]

JPEG files in memory are decoded, made square and resized as ``ssl_mix.datasets.decode`` does: photographs of
FOLDER as they are, and enlarged to 500 and 1600 pixels. Decoders take turns; those that are not installed are
left out. PSNR is that of the stored pixels against Pillow without a draft.
"""

import argparse
import importlib.util
import io
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from measuring import append_line, circumstances, measure  # noqa: E402

from ssl_mix.datasets.decode import read_content, square  # noqa: E402

Pixels = npt.NDArray[np.uint8]
Decoder = Callable[[bytes, int], Pixels]
COUNT, ROUNDS = 40, 7
SOURCES, STORED = (None, 500, 1600), (32, 96, 224)


def plain_pillow(content: bytes, size: int) -> Pixels:
    """Pillow at full size."""
    return square(Image.open(io.BytesIO(content)), size, 3, "cut")


def draft_pillow(content: bytes, size: int) -> Pixels:
    """What ``decode`` does: Pillow, where a JPEG is reduced by a power of two, not below twice the side."""
    return read_content("image.jpg", content, size, 3, "cut")[0]


def torchvision_io(content: bytes, size: int) -> Pixels:
    """torchvision's decoder, then Pillow's filter."""
    from torchvision.io import ImageReadMode, decode_jpeg

    pixels = decode_jpeg(torch.frombuffer(bytearray(content), dtype=torch.uint8), ImageReadMode.RGB)
    return square(Image.fromarray(pixels.permute(1, 2, 0).numpy()), size, 3, "cut")


def simplejpeg(content: bytes, size: int) -> Pixels:
    """simplejpeg, reduced as in ``decode``, then Pillow's filter."""
    library = importlib.import_module("simplejpeg")
    side = 2 * size
    pixels = library.decode_jpeg(content, "RGB", min_height=side, min_width=side)
    return square(Image.fromarray(pixels), size, 3, "cut")


DECODERS: dict[str, Decoder] = {
    "Pillow": plain_pillow,
    "Pillow, draft": draft_pillow,
    "torchvision.io": torchvision_io,
    "simplejpeg, draft": simplejpeg,
}


def photographs(folder: Path, side: int | None) -> list[bytes]:
    """Photographs as JPEG files; enlarged ones have ``side`` pixels on the shorter side."""
    files = sorted(folder.rglob("*.jpg"))
    chosen = files[:: max(1, len(files) // COUNT)][:COUNT]
    if side is None:
        return [file.read_bytes() for file in chosen]
    found = []
    for file in chosen:
        with Image.open(file) as opened:
            image = opened.convert("RGB")
        scale, buffer = side / min(image.size), io.BytesIO()
        large = image.resize(
            (round(image.width * scale), round(image.height * scale)), Image.Resampling.BICUBIC
        )
        large.save(buffer, "JPEG", quality=90)
        found.append(buffer.getvalue())
    return found


def psnr(one: Pixels, other: Pixels) -> float:
    """Of uint8 pixels, in dB; infinite for equal ones."""
    error = float(np.mean((one.astype(np.float64) - other.astype(np.float64)) ** 2))
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


def compare(contents: Sequence[bytes], size: int, decoders: dict[str, Decoder]) -> list[dict[str, Any]]:
    """Images a second and PSNR of each decoder for images stored at ``size``."""

    def all_by(decoder: Decoder) -> Callable[[], object]:
        return lambda: [decoder(content, size) for content in contents]

    seconds = measure({name: all_by(d) for name, d in decoders.items()}, ROUNDS, torch.device("cpu"))
    expected = [plain_pillow(content, size) for content in contents]
    lines = []
    for name, decoder in decoders.items():
        found = [psnr(decoder(c, size), e) for c, e in zip(contents, expected, strict=True)]
        worst = min(found)
        lines.append(
            {
                "decoder": name,
                "stored": size,
                "images_per_second": len(contents) / seconds[name],
                "ratio": seconds["Pillow"] / seconds[name],
                "lowest_psnr": None if math.isinf(worst) else worst,
            }
        )
    return lines


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and append lines of JSON if asked to."""
    parser = argparse.ArgumentParser(
        "decode.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--json", type=Path, help="file to append lines to")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    there = importlib.util.find_spec("simplejpeg") is not None
    decoders = {name: d for name, d in DECODERS.items() if there or d is not simplejpeg}
    for side in SOURCES:
        contents = photographs(options.folder, side)
        for size in STORED:
            for line in compare(contents, size, decoders):
                line = {"benchmark": "decode", "source": side or "as it is", "images": len(contents), **line}
                print(line, flush=True)
                if options.json:
                    append_line(options.json, {**line, **circumstances(torch.device("cpu"))})


if __name__ == "__main__":
    main()
