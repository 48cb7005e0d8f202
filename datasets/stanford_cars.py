"""Stanford-Cars, cars of 196 models, from the files of its authors, found by torchvision."""

from pathlib import Path

from torchvision import datasets

from ssl_mix.datasets.assembly import Options, assemble
from ssl_mix.datasets.data import DataSet, files_needed
from ssl_mix.datasets.decode import Fit
from ssl_mix.datasets.decode_many import Progress
from ssl_mix.datasets.fine_grained import IMAGE_SIZE, as_fine_grained, listing

NAME, FOLDER = "stanford-cars", "stanford_cars"
BY_HAND = (
    "it cannot be downloaded, since its authors' address is gone: get a copy by hand with cars_train/, cars_test/, devkit/ (cars_meta.mat "
    "and cars_train_annos.mat) and cars_test_annos_withlabels.mat, or take one with a folder per class: --data folder --train DIR --test DIR"
)


def load_stanford_cars(
    data_dir: Path,
    *,
    download: bool = False,
    image_size: int = IMAGE_SIZE,
    fit: Fit = "cut",
    memory_budget: int | None = None,
    progress: Progress | None = None,
) -> DataSet:
    """Stanford-Cars: 8,144 training and 8,041 test pictures in 196 models, 24 to 68 for training of each.

    Published lists of labelled pictures (``train/171/014016.jpg``) are of the authors' other archive, which numbers both parts in one
    row; they fit folders of classes made from that one, not these files.

    Args:
        data_dir: folder that holds ``stanford_cars`` with ``cars_train``, ``cars_test``, ``devkit`` and ``cars_test_annos_withlabels.mat``.
        download: nobody offers the files, so that True changes nothing.
        image_size: side in pixels at which pictures are stored, at least 8.
        fit: how they become square: "cut" to the central square, or the whole picture "squash".
        memory_budget: bytes; pictures that need more are read from their files again and again. Default: half of the free memory.
        progress: told (what is done, files done, files in all).

    Raises:
        ValueError: the files are not there or damaged.
    """
    del download
    with files_needed(NAME, data_dir, FOLDER, BY_HAND, None):
        parts = [datasets.StanfordCars(str(data_dir), split=split) for split in ("train", "test")]
    train, test = (listing(*zip(*part._samples, strict=True)) for part in parts)
    options = Options(image_size, memory_budget, progress, fit)
    return as_fine_grained(NAME, assemble(train, test, tuple(parts[0].classes), (), options))
