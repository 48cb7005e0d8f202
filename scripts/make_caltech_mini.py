"""Make datasets/caltech_mini.zip: a few photographs of Caltech-101, small enough to come with the package.

    python scripts/make_caltech_mini.py ROOT [--out FILE]

ROOT holds train/CLASS/*.jpg and test/CLASS/*.jpg. Of each class below the first 30 training and the first 20
test photographs by name are taken, or as many as there are; the central square of each becomes a WebP file of
128 pixels, under the name that the photograph has in Caltech-101. The same photographs and the same libwebp
make the same bytes.
"""

import argparse
import io
from collections.abc import Sequence
from pathlib import Path
from zipfile import ZipFile, ZipInfo

from PIL import Image

from ssl_mix.datasets import decode

CLASSES = (  # in groups of two to four that look alike
    ("flamingo", "ibis", "pigeon", "rooster"),
    ("crayfish", "lobster", "scorpion"),
    ("ketch", "schooner"),
    ("minaret", "pagoda"),
    ("chandelier", "menorah"),
    ("electric_guitar", "mandolin"),
)
MOST = {"train": 30, "test": 20}
SIZE, QUALITY = 128, 80
OUT = Path(__file__).parents[1] / "datasets" / "caltech_mini.zip"
ABOUT = OUT.with_suffix(".txt")


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the archive."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("root", type=Path, help="holds train/CLASS/*.jpg and test/CLASS/*.jpg")
    parser.add_argument("--out", type=Path, default=OUT)
    asked = parser.parse_args(arguments)
    with ZipFile(asked.out, "w") as archive:
        archive.writestr(member(ABOUT.name), ABOUT.read_bytes())
        for part, most in MOST.items():
            for name in sorted(sum(CLASSES, ())):
                for file in sorted((asked.root / part / name).glob("*.jpg"))[:most]:
                    archive.writestr(member(f"{part}/{name}/{file.stem}.webp"), as_webp(file))
    print(f"{asked.out}: {asked.out.stat().st_size:,} bytes")


def member(name: str) -> ZipInfo:
    """An entry without the time at which it was made."""
    return ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))


def as_webp(file: Path) -> bytes:
    """The central square of a photograph, as a small file."""
    pixels = decode(file, SIZE).permute(1, 2, 0).numpy()
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "WEBP", quality=QUALITY, method=6)
    return buffer.getvalue()


if __name__ == "__main__":
    main()
