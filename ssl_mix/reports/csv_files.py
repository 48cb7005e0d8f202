"""CSV files: pseudo-labels and predictions."""

import codecs
import csv
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from torch import Tensor

from ssl_mix.banks import NEVER, PseudoLabelBank
from ssl_mix.datasets import Split
from ssl_mix.runs.answers import Predictions
from ssl_mix.runs.folder import FILES, SPLIT, write_whole
from ssl_mix.runs.reading import reading

PSEUDO_LABELS = "pseudo_labels.csv"
NONE = "none of these"
DIGITS = "{:.6f}"


def pseudo_label_rows(
    folder: Path, bank: PseudoLabelBank, classes: Sequence[str], *, selects: bool = True
) -> Iterable[list[str]]:
    """Rows of the bank of the run in ``folder``: file or index, class, confidence, when it passed the
    threshold, changes.

    Images that never had a pseudo-label have no row; ``passed`` says whether the last pseudo-label passed.
    The first row names the columns.

    Args:
        folder: of the run.
        bank: of its checkpoint.
        classes: names.
        selects: whether its algorithm has a threshold; else what passed it and when is left empty.
    """
    unlabeled = Split.load(folder / SPLIT).unlabeled
    with reading(folder / FILES):
        files = json.loads((folder / FILES).read_text()) if (folder / FILES).exists() else None
        named = [str(image) if files is None else str(files[image]) for image in unlabeled]
    names = ("label", "confidence", "passed", "first_passed", "last_passed", "changes")
    columns = [getattr(bank, name).tolist() for name in names]
    yield ["index" if files is None else "file", "class", *names[1:]]
    for name, label, confidence, passed, first, last, changes in zip(named, *columns, strict=True):
        if label != NEVER:
            steps = ["" if step == NEVER else str(step) for step in (first, last)]
            when = [str(int(passed)), *steps] if selects else ["", "", ""]
            yield [name, classes[label], DIGITS.format(confidence), *when, str(changes)]


def prediction_rows(found: Predictions, classes: Sequence[str], top: int = 5) -> Iterable[list[str]]:
    """Rows of predictions: file, class, confidence, the next likely classes, and for a file that cannot be
    read the reason in place of all those. The first row names the columns; files are in the order in which
    they were given. An image that was rejected has "none of these" for its class, without a confidence, and
    the likeliest classes behind it.

    Args:
        found: of N files.
        classes: C names.
        top: how many classes a row names, at most.
    """
    count = min(top, len(classes))
    ranks = [f"{name}_{rank}" for rank in range(2, count + 1) for name in ("class", "confidence")]
    yield ["file", "class", "confidence", *ranks, "error"]
    confidences, positions = found.probabilities.topk(count, dim=1)
    rejected = [False] * len(positions) if found.rejected is None else found.rejected.tolist()
    answers = iter(zip(confidences.tolist(), positions.tolist(), rejected, strict=True))
    broken = dict(found.broken)
    for file in found.files:
        if file in broken:
            yield [str(file), *[""] * (2 * count), broken[file]]
            continue
        *likely, none = next(answers)
        pairs = [
            (classes[position], DIGITS.format(confidence))
            for confidence, position in zip(*likely, strict=True)
        ]
        pairs = [(NONE, ""), *pairs[:-1]] if none else pairs
        yield [str(file), *(cell for pair in pairs for cell in pair), ""]


def confusion_rows(confusion: Tensor, classes: Sequence[str]) -> Iterable[list[str]]:
    """Rows of a confusion matrix (C, C) with the names of its C classes: images of a true class by what they
    are taken for. The first row names the columns, the first column the rows."""
    yield ["true class", *classes]
    for name, counts in zip(classes, confusion.tolist(), strict=True):
        yield [name, *map(str, counts)]


def write_csv(path: Path, rows: Iterable[list[str]]) -> int:
    """Write the rows, return how many there are below the first. The file is whole or as it was before.

    It is UTF-8, with a byte order mark where it holds more than ASCII: without it Excel takes it for
    Windows-1252.
    """
    text = io.StringIO(newline="")
    count = sum(1 for _ in map(csv.writer(text).writerow, rows)) - 1
    content = text.getvalue().encode("utf-8", "surrogateescape")
    mark = b"" if content.isascii() else codecs.BOM_UTF8
    write_whole(path, lambda file: file.write(mark + content))
    return count
