"""``ssl-mix suggest``: which images to label next."""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal, NamedTuple

import torch
import tyro

from ssl_mix.cli.terminal import reading_bar, say, warn
from ssl_mix.cli.use import check_writable, load
from ssl_mix.datasets import Split
from ssl_mix.datasets.splits import checksum
from ssl_mix.errors import UserError, check_count, check_seed, counts_of
from ssl_mix.labeling.findings import name_of
from ssl_mix.labeling.k_means_plus_plus import Chosen
from ssl_mix.labeling.methods import METHODS, Pool, default_method
from ssl_mix.labeling.methods import suggest as choose
from ssl_mix.labeling.scene import Scene, read_unlabeled, scene_of_network, scene_of_run, size_for
from ssl_mix.reports.contact_sheet import MOST, write_contact_sheet
from ssl_mix.reports.csv_files import DIGITS, write_csv
from ssl_mix.runs.net_options import NetOptions
from ssl_mix.runs.trained import Weights
from ssl_mix.shell import quoted

By = Literal["typicality", "badge", "margin", "entropy", "diverse", "random"]
SHEET = ".jpg"


class Wanted(NamedTuple):
    """Images to label, the most wanted first.

    Attributes:
        positions: of each among the images to learn from.
        chosen: by the method.
        of: how many there were to choose from.
        by: the method.
        reason: why that one.
    """

    positions: list[int]
    chosen: Chosen
    of: int
    by: str
    reason: str


def suggest(
    run: tyro.conf.Positional[Path | None] = None,
    *,
    out: Path,
    n: int = 50,
    by: By | None = None,
    unlabeled: Path | None = None,
    net: str = "lite0",
    image_size: int | None = None,
    data_root: Path | None = None,
    weights: Weights = "last",
    seed: int = 0,
    device: str = "auto",
    overwrite: bool = False,
) -> None:
    """Choose unlabeled images to label next: a CSV file with a column "label" to fill in, and a contact sheet
    beside it.

    Columns: file or index, label (empty), class (what the run takes it for), confidence, and the score by
    which it was chosen. ssl-mix resume RUN --label FILE --out NEW_RUN takes the labels back. Where nothing is
    labeled yet, --unlabeled and --net stand in for a run.

    Args:
        run: folder of the run.
        out: the CSV file; the contact sheet gets the same name and .jpg.
        n: how many images.
        by: "typicality" (TypiClust: the most typical image of every cluster), "badge" (images that would
            change the last layer most, and in different ways), "margin" (the two likeliest classes are
            closest), "entropy", "diverse" (k-means++), or "random". Default: by the number of labels.
        unlabeled: without a run: folder of images, flat or nested.
        net: without a run: a network with weights, as for ssl-mix train.
        image_size: without a run: side in pixels; default: that of the images behind the weights.
        data_root: folder that holds the images of the run now, if they have moved.
        weights: of the run: the "last" ones, or those that were "best" on the held-out part.
        seed: of draws and clusters.
        device: "auto", "cpu" or "cuda".
        overwrite: replace files that are there.
    """
    check_count("n", n)
    check_seed("seed", seed)
    check_outputs(out, overwrite=overwrite)
    if (run is None) == (unlabeled is None):
        raise UserError("expected the folder of a run, or images without one (`unlabeled=DIR`)")
    with reading_bar() as progress:
        if run is not None:
            scene = scene_of_run(load(run, device, weights), data_root=data_root, progress=progress)
        else:
            options = NetOptions(net=net)
            data = read_unlabeled(Path(str(unlabeled)), size_for(options, image_size), progress)
            every = Split((), (), tuple(range(len(data.train.labels))), seed, checksum(()))
            scene = scene_of_network(data, every, options, device=device, progress=progress)
    for note in scene.notes:
        warn(note)
    wanted = choose_from(scene, n, by, seed)
    write_csv(out, rows(scene, wanted))
    write_contact_sheet(
        out.with_suffix(SHEET), scene.data.train.images, wanted.positions, captions(scene, wanted)
    )
    tell(wanted, out)
    if run is not None:
        words = f"resume {quoted(run)} --label {quoted(out)} --out NEW_RUN"
    else:
        size = "" if image_size is None else f" --image-size {image_size}"
        words = (
            f"auto --net {quoted(net)} --table {quoted(out)} --unlabeled {quoted(unlabeled)}{size} --out RUN"
        )
    say(f"Next    fill in the column label, then: ssl-mix {words}")


def check_outputs(out: Path, *, overwrite: bool) -> None:
    """Raise unless a CSV file and the contact sheet beside it can be written."""
    if out.suffix.lower() != ".csv":
        raise UserError(f"expected the name of a .csv file for `out`, got {out}")
    for path in (out, out.with_suffix(SHEET)):
        check_writable(path, overwrite=overwrite)


def choose_from(scene: Scene, count: int, by: str | None, seed: int) -> Wanted:
    """The images to label next.

    Raises:
        ValueError: every image is labeled, or the method asks a classifier and there is none.
    """
    split = scene.split
    known = sorted({*split.labeled, *split.validation})
    free = torch.tensor(sorted({*split.unlabeled} - {*known}), dtype=torch.int64)
    if not len(free):
        raise UserError("there is no unlabeled image to suggest: all of them are labeled")
    name, reason = default_method(len(known), len(scene.data.classes)) if by is None else (by, "as asked for")
    probabilities = None if scene.probabilities is None else scene.probabilities[free]
    pool = Pool(scene.features[free], scene.features[torch.tensor(known, dtype=torch.int64)], probabilities)
    chosen = choose(pool, count, name, seed=seed)
    return Wanted(free[chosen.indices].tolist(), chosen, len(free), name, reason)


def rows(scene: Scene, wanted: Wanted) -> Iterable[list[str]]:
    """Rows of the CSV file, the first with the names of the columns."""
    yield ["index" if scene.data.train.files is None else "file", "label", "class", "confidence", "score"]
    for position, score in zip(wanted.positions, wanted.chosen.scores.tolist(), strict=True):
        name, confidence = answer(scene, position)
        yield [name_of(scene.data, position), "", name, confidence, DIGITS.format(score)]


def captions(scene: Scene, wanted: Wanted) -> list[list[str]]:
    """Words below the images: the file, and what it is taken for."""
    found = []
    for position in wanted.positions:
        name, confidence = answer(scene, position)
        file = Path(name_of(scene.data, position)).name
        found.append([file, *([f"{name} {float(confidence):.0%}"] if name else [])])
    return found


def answer(scene: Scene, position: int) -> tuple[str, str]:
    """What an image is taken for, and how surely; nothing where nobody says."""
    if scene.probabilities is None:
        return "", ""
    confidence, label = scene.probabilities[position].max(dim=0)
    return scene.data.classes[int(label)], DIGITS.format(confidence.item())


def tell(wanted: Wanted, out: Path) -> None:
    """Say what was chosen, by what, why, and where it is."""
    count = len(wanted.positions)
    say(f"{count} of {counts_of(wanted.of, 'unlabeled image')}: {METHODS[wanted.by].about}")
    say(f"Chosen  by {wanted.by}: {wanted.reason}")
    drawn = "" if count <= MOST else f", the first {MOST}"
    say(f"List    {out}\nPicture {out.with_suffix(SHEET)}{drawn}")
