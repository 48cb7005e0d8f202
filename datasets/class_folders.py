"""A folder with one sub-folder per class: which classes those are, and layouts that are something else."""

import collections
import os
import re
from collections.abc import Mapping, Sequence
from itertools import chain, permutations
from pathlib import Path
from typing import NamedTuple

from ssl_mix.datasets.class_names import listed, plain_name
from ssl_mix.datasets.formats import others_note
from ssl_mix.datasets.listing import check_folder, files_beside, is_junk, look_through
from ssl_mix.datasets.packed import Paths
from ssl_mix.errors import UserError, counts_of

# Names of the parts of a data set, of which two beside each other are no classes.
PARTS = {"train", "training", "val", "valid", "validation", "test", "testing", "dev", "eval"}
PARTS |= {"labeled", "labelled", "unlabeled", "unlabelled"}


class ClassFolders(NamedTuple):
    """The images of each class, by its name and in the order of names, and what the user must be told."""

    members: dict[str, Paths]
    notes: list[str]


def list_classes(folder: Path) -> ClassFolders:
    """The images in each sub-folder of ``folder``; a sub-folder is a class.

    Sub-folders whose names look the same (letters with their accents in one character or in two, spaces
    around them) are one class.

    Args:
        folder: holds the sub-folders.

    Raises:
        ValueError: the folder is missing, has no sub-folders, or its sub-folders are the parts of a data set.
    """
    check_folder(folder)
    places = sorted(entry for entry in folder.iterdir() if entry.is_dir() and not is_junk(entry.name))
    if not places:
        found = "images but no sub-folders" if files_beside(folder)[0] else "no sub-folders"
        raise UserError(
            f"{folder} holds {found}: expected one sub-folder per class, as in {folder / 'cat' / '1.jpg'} "
            f"and {folder / 'dog' / '2.jpg'}"
        )
    _check_no_parts(folder, places)
    looked = {place: look_through(place, apart=places) for place in places}
    parts: dict[str, list[Paths]] = {plain_name(place.name): [] for place in places}
    for place in places:
        parts[plain_name(place.name)].append(looked[place].images)
    members = {name: found[0] if len(found) == 1 else Paths(chain(*found)) for name, found in parts.items()}
    stray, others = files_beside(folder)
    notes = [note for each in looked.values() for note in each.notes]
    notes += [f"{counts_of(len(stray), 'image')} directly in {folder} of no class: left out"] if stray else []
    notes += others_note([*others, *(file for each in looked.values() for file in each.others)], folder)
    notes += _name_notes(folder, places) + _layout_notes(folder, members)
    return ClassFolders(dict(sorted(members.items())), notes)


def check_classes(members: Mapping[str, Paths], folder: Path) -> None:
    """Raise unless ``folder`` has two classes or more, each with an image."""
    if len(members) < 2:
        raise UserError(
            f"{folder} holds the one class {next(iter(members))!r}: expected two or more sub-folders"
        )
    for name, files in members.items():
        if not files:
            place = folder / name
            found = "; ".join(others_note(look_through(place).others, place))
            raise UserError(
                f"class {name!r} has no image in {place}: add some, or remove the sub-folder"
                + (f" ({found})" if found else "")
            )


def is_part(name: str) -> bool:
    """Whether a folder's name is that of a part: "test", "train_set", "Test-Images"."""
    return re.sub(r"[ _-]?(set|data|images|imgs|split)$", "", name.casefold()) in PARTS


def _check_no_parts(folder: Path, places: Sequence[Path]) -> None:
    parts = [place.name for place in places if is_part(place.name)]
    if len(parts) > 1:
        best = next((part for part in parts if part.casefold().startswith("train")), parts[0])
        raise UserError(
            f"{folder} holds {listed(parts)}, which are parts of a data set and no classes: expected one "
            f"sub-folder per class, as in {folder / best} maybe; name each part by itself "
            "(`train=DIR`, `test=DIR`, `unlabeled=DIR`)"
        )


def _name_notes(folder: Path, places: Sequence[Path]) -> list[str]:
    """Of sub-folders that are one class, and of classes that may be meant as one."""
    same, alike = collections.defaultdict(list), collections.defaultdict(set)
    for place in places:
        name = plain_name(place.name)
        same[name].append(place.name)
        alike[name.casefold()].add(name)
    return [
        *(
            f"{len(names)} sub-folders of {folder} have names that look the same and are one class: {name!r}"
            for name, names in same.items()
            if len(names) > 1
        ),
        *(
            f"classes {listed(sorted(found))} of {folder} differ in capitals alone: they stay apart"
            for found in alike.values()
            if len(found) > 1
        ),
    ]


def _layout_notes(folder: Path, members: Mapping[str, Paths]) -> list[str]:
    """Of classes that look like parts of a data set: all images lie in sub-folders, several of the same
    names."""
    within = {name: _folders_within(folder, files) for name, files in members.items()}
    inner = {name: names for name, names in within.items() if len(names) > 1 and None not in names}
    common = [pair for pair in permutations(inner, 2) if len(inner[pair[0]] & inner[pair[1]]) > 1]
    shared = [name for name in inner if is_part(name) or name in dict(common)]
    if not shared:
        return []
    names = sorted(filter(None, inner[shared[0]]))
    return [
        f"all images of {listed(shared)} in {folder} lie in sub-folders ({listed(names)}): if those are the "
        f"classes, give {folder / shared[0]} in place of {folder}"
    ]


def _folders_within(folder: Path, files: Paths) -> set[str | None]:
    """The sub-folders of a class folder in which its images lie; None for the class folder itself."""
    parents = {os.path.dirname(name) for name in files.names}
    parts = (Path(parent).relative_to(folder).parts for parent in parents)
    return {names[1] if len(names) > 1 else None for names in parts}
