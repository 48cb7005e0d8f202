"""A file that lists the images whose labels may be used, as published splits do."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath, PurePosixPath

from ssl_mix.datasets.class_names import composed
from ssl_mix.datasets.data import DataSet
from ssl_mix.errors import UserError, checking_kinds, told_of

NAMED, LONGEST = 3, 200  # lines, and characters of each, in a message
LABEL = re.compile(r"\s+[+-]?\d+$")


@checking_kinds
def read_label_list(path: Path, data: DataSet) -> tuple[int, ...]:
    """The training images that a file names.

    Each line holds one path, relative to the training folder or to the data set's root, which may contain
    spaces, and maybe a label behind it: a whole number, which is ignored, since the data set has labels of
    its own. Empty lines are passed over. A line means the image whose path ends in all of its components, or
    else in all but the first (``train/cat/1.jpg`` is ``.../cat/1.jpg``). Where all training images lie in one
    folder, which names no class, the file name is enough.

    Args:
        path: of the file, in UTF-8.
        data: its training images must come from files.

    Returns:
        Positions among the training images, in the order of the lines.

    Raises:
        ValueError: the file cannot be read, the data set has no files, or a line names no image, several, or
            one named before.

    Examples:
        >>> Path("labels.txt").read_text().split()
        ['cat/1.png', 'dog/2.png']
        >>> read_label_list(Path("labels.txt"), load_folder(Path("train"), image_size=8))
        (0, 3)
    """
    if data.train.files is None:
        raise UserError(
            f"a label list names files, which the images of {data.name} are not: choose labels by number"
        )
    lines = _lines(path)
    matches = _matches(lines, [PurePath(composed(file)) for file in data.train.files])
    _refuse(path, "name no training image that can be read", lines, [not match for match in matches])
    _refuse(path, "name several training images", lines, [len(match) > 1 for match in matches])
    positions = [match[0] for match in matches]
    first = {position: index for index, position in reversed(list(enumerate(positions)))}
    repeated = [first[position] != index for index, position in enumerate(positions)]
    _refuse(path, "name an image for the second time", lines, repeated)
    return tuple(positions)


def _lines(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"expected a list of images, one a line, in {path}, cannot read it: {error}"
        ) from error
    return [LABEL.sub("", line.strip()) for line in lines if line.strip()]


def _matches(lines: Sequence[str], files: Sequence[PurePath]) -> list[list[int]]:
    by_name = defaultdict(list)
    for position, file in enumerate(files):
        by_name[file.name].append(position)
    flat = len({file.parent for file in files}) == 1

    def found(line: str) -> list[int]:
        return _find(PurePosixPath(composed(line)).parts, files, by_name, flat)

    return [found(line) or found(line.replace("\\", "/")) for line in lines]


def _find(
    parts: tuple[str, ...], files: Sequence[PurePath], by_name: Mapping[str, list[int]], flat: bool
) -> list[int]:
    # A bare name could be that of another class's image, so that folders are left out only where they name no
    # class.
    endings = [parts, *([parts[1:]] if len(parts) > 2 else []), *([parts[-1:]] if flat else [])]
    for ending in filter(None, endings):
        found = [i for i in by_name.get(ending[-1], ()) if files[i].parts[-len(ending) :] == ending]
        if found:
            return found
    return []


def _refuse(path: Path, what: str, lines: Sequence[str], wrong: Sequence[bool]) -> None:
    named = [line for line, is_wrong in zip(lines, wrong, strict=True) if is_wrong]
    if named:
        more = f" and {len(named) - NAMED} more" if len(named) > NAMED else ""
        told = told_of(len(named), len(lines), "line", what, f"in {path}")
        raise UserError(f"{told}: {', '.join(repr(line[:LONGEST]) for line in named[:NAMED])}{more}")
