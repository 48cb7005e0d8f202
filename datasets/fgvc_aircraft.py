"""FGVC-Aircraft, aircraft of 100 variants, from the files of its authors, found and downloaded by torchvision."""

from pathlib import Path

from torchvision import datasets

from ssl_mix.datasets.assembly import Options, assemble
from ssl_mix.datasets.data import DataSet, files_needed
from ssl_mix.datasets.decode import Fit
from ssl_mix.datasets.decode_many import Progress
from ssl_mix.datasets.fine_grained import IMAGE_SIZE, as_fine_grained, listing

NAME, FOLDER = "fgvc-aircraft", "fgvc-aircraft-2013b"


def load_fgvc_aircraft(
    data_dir: Path,
    *,
    download: bool = False,
    image_size: int = IMAGE_SIZE,
    fit: Fit = "cut",
    memory_budget: int | None = None,
    progress: Progress | None = None,
) -> DataSet:
    """FGVC-Aircraft: 6,667 training and 3,333 test pictures in 100 variants, 66 or 67 for training of each.

    The training part is the authors' "trainval", as in published transfer learning; their pictures keep the line of text at the bottom.

    Args:
        data_dir: folder that holds, or is to hold, ``fgvc-aircraft-2013b``.
        download: fetch the files (2.8 GB) if they are not there.
        image_size: side in pixels at which pictures are stored, at least 8.
        fit: how they become square: "cut" to the central square, or the whole picture "squash".
        memory_budget: bytes; pictures that need more are read from their files again and again. Default: half of the free memory.
        progress: told (what is done, files done, files in all).

    Raises:
        ValueError: the files are not there or damaged, or the download failed.
    """
    source = datasets.FGVCAircraft
    by_hand = f"fetch {source._URL} by hand and unpack it in {data_dir}"
    with files_needed(NAME, data_dir, FOLDER, by_hand, download):
        parts = [source(str(data_dir), split=split, download=download) for split in ("trainval", "test")]
    train, test = (listing(part._image_files, part._labels) for part in parts)
    options = Options(image_size, memory_budget, progress, fit)
    return as_fine_grained(NAME, assemble(train, test, tuple(parts[0].classes), (), options))
