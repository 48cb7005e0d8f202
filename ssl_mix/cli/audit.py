"""``ssl-mix audit``: which labels are probably wrong."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import tyro

from ssl_mix.cli.suggest import SHEET, check_outputs
from ssl_mix.cli.terminal import reading_bar, say, warn
from ssl_mix.cli.use import load
from ssl_mix.datasets import DataSet, Split, choose_split
from ssl_mix.errors import UserError, check_seed, counts_of, verb_for
from ssl_mix.labeling.findings import Finding, name_of
from ssl_mix.labeling.findings import audit as examine
from ssl_mix.labeling.scene import Scene, read_labeled, scene_of_network, scene_of_run, size_for
from ssl_mix.reports.contact_sheet import MOST, write_contact_sheet
from ssl_mix.reports.csv_files import DIGITS, write_csv
from ssl_mix.runs.net_options import NetOptions


def audit(
    run: tyro.conf.Positional[Path | None] = None,
    *,
    out: Path,
    data: str | None = None,
    net: str = "lite0",
    image_size: int | None = None,
    data_root: Path | None = None,
    seed: int = 0,
    device: str = "auto",
    overwrite: bool = False,
) -> None:
    """Find labels that are probably wrong, and write them as a ranked CSV file and as a contact sheet beside
    it.

    Each labeled image is judged by a logistic regression on the features of the others (confident learning).
    Listed too: images that occur twice, in two classes above all, and images that are like no other. Columns:
    file or index, reason, label, suggested (label), score (within a reason, the higher the surer), other (the
    image of which it is a copy).

    Args:
        run: folder of the run, whose labeled and held-out images are looked at.
        out: the CSV file; the contact sheet gets the same name and .jpg.
        data: without a run: a folder with a sub-folder of images per class, a table, or a data set's name.
        net: without a run: a network with weights, as for ssl-mix train.
        image_size: without a run: side in pixels; default: that of the images behind the weights.
        data_root: folder that holds the images of the run now, if they have moved.
        seed: of the parts in which labels are judged.
        device: "auto", "cpu" or "cuda".
        overwrite: replace files that are there.
    """
    check_outputs(out, overwrite=overwrite)
    check_seed("seed", seed)
    if (run is None) == (data is None):
        raise UserError("expected the folder of a run, or labeled images without one (`data=DIR`)")
    with reading_bar() as progress:
        if run is not None:
            trained = load(run, device)
            scene = scene_of_run(trained, data_root=data_root, progress=progress)
            if trained.run.net.tune != "head":
                warn(MEMORY)
        else:
            options = NetOptions(net=net)
            found = read_labeled(str(data), size_for(options, image_size), progress)
            scene = scene_of_network(found, all_labeled(found), options, device=device, progress=progress)
    findings = examine(scene.data, scene.split, scene.features, seed=seed)
    for note in (*scene.notes, *findings.notes):
        warn(note)
    write_csv(out, rows(scene.data, findings.found))
    if findings.found:
        write_sheet(out.with_suffix(SHEET), scene.data, findings.found)
    tell(scene, findings.found, out)


MEMORY = (
    "the network of this run was trained on these labels, and may have learned wrong ones by heart: "
    "`data=DIR` and `net=lite0` judge them by features that have not seen any"
)


def all_labeled(data: DataSet) -> Split:
    """The split in which every image with a label is used."""
    return choose_split(data.train.labels, len(data.classes), seed=0, classes=data.classes)


def rows(data: DataSet, found: Sequence[Finding]) -> Iterable[list[str]]:
    """Rows of the CSV file, the first with the names of the columns."""
    yield [
        "index" if data.train.files is None else "file",
        "reason",
        "label",
        "suggested",
        "score",
        "other",
    ]
    for one in found:
        suggested = "" if one.suggested is None else data.classes[one.suggested]
        given = data.classes[int(data.train.labels[one.position])]
        yield [name_of(data, one.position), one.reason, given, suggested, DIGITS.format(one.score), one.other]


def write_sheet(path: Path, data: DataSet, found: Sequence[Finding]) -> None:
    """Draw what was found, with the reasons."""
    words = []
    for one in found:
        given = data.classes[int(data.train.labels[one.position])]
        other = [] if one.suggested is None else [f"-> {data.classes[one.suggested]}?"]
        words.append([Path(name_of(data, one.position)).name, one.reason, given, *other])
    write_contact_sheet(path, data.train.images, [one.position for one in found], words)


def tell(scene: Scene, found: Sequence[Finding], out: Path) -> None:
    """Say how much was found of what, and where it is."""
    labels = len({*scene.split.labeled, *scene.split.validation})
    reasons = Counter(one.reason for one in found)
    images = len({one.position for one in found})
    told = ", ".join(f"{count} {reason}" for reason, count in reasons.items()) or "nothing"
    say(f"{images} of {counts_of(labels, 'labeled image')} {verb_for(images)} doubtful: {told}")
    say(f"List    {out}")
    if found:
        say(f"Picture {out.with_suffix(SHEET)}" + ("" if len(found) <= MOST else f", the first {MOST}"))
