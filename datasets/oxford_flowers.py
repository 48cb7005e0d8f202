"""Oxford Flowers-102, flowers of 102 kinds, from the files of its authors, found and downloaded by torchvision."""

from itertools import chain
from pathlib import Path

from torchvision import datasets

from ssl_mix.datasets.assembly import Listing, Options, assemble
from ssl_mix.datasets.data import DataSet, files_needed
from ssl_mix.datasets.decode import Fit
from ssl_mix.datasets.decode_many import Progress
from ssl_mix.datasets.fine_grained import IMAGE_SIZE, as_fine_grained, listing

NAME, FOLDER = "oxford-flowers", "flowers-102"


def load_oxford_flowers(
    data_dir: Path,
    *,
    download: bool = False,
    image_size: int = IMAGE_SIZE,
    fit: Fit = "cut",
    memory_budget: int | None = None,
    progress: Progress | None = None,
) -> DataSet:
    """Oxford Flowers-102: 2,040 training and 6,149 test pictures in 102 kinds, 20 for training of each.

    The training part is the authors' "train" and behind it their "val", 1,020 pictures each, as is usual in transfer learning; tables
    of learning from 10 pictures a class are of the first half alone (``label_list`` can choose it).

    Args:
        data_dir: folder that holds, or is to hold, ``flowers-102`` with ``jpg``, ``imagelabels.mat`` and ``setid.mat``.
        download: fetch the files (0.3 GB) if they are not there.
        image_size: side in pixels at which pictures are stored, at least 8.
        fit: how they become square: "cut" to the central square, or the whole picture "squash".
        memory_budget: bytes; pictures that need more are read from their files again and again. Default: half of the free memory.
        progress: told (what is done, files done, files in all).

    Raises:
        ValueError: the files are not there or damaged, or the download failed.
    """
    source = datasets.Flowers102
    urls = ", ".join(source._download_url_prefix + file for file, _ in source._file_dict.values())
    by_hand = f"fetch {urls} by hand into {data_dir / FOLDER} and unpack the first there"
    with files_needed(NAME, data_dir, FOLDER, by_hand, download):
        parts = [source(str(data_dir), split=split, download=download) for split in ("train", "val", "test")]
    train, test = _joined(parts[:2]), _joined(parts[2:])
    options = Options(image_size, memory_budget, progress, fit)
    return as_fine_grained(NAME, assemble(train, test, tuple(source.classes), (), options))


def _joined(parts: list[datasets.Flowers102]) -> Listing:
    files = chain.from_iterable(part._image_files for part in parts)
    return listing(files, chain.from_iterable(part._labels for part in parts))
