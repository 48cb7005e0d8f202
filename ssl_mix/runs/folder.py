"""The files of a run.

``config.json`` (everything that defines the run, with versions), ``split.json`` (labeled indices and their
SHA-256), ``labels.json`` (class of each training image, -1 where unknown: for reports, never for training),
``metrics.jsonl`` (one record a line), ``files.json`` (names of the training images, where they are files),
TensorBoard events, ``checkpoint.pt`` and the one before it, ``pseudo_labels.csv``, ``report.html``, and of
``ssl-mix auto`` ``auto.json`` (what it tried and chose).
"""

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from torch.utils.tensorboard import SummaryWriter

from ssl_mix.errors import UserError, nearest
from ssl_mix.ranks import rank
from ssl_mix.runs.reading import AGAIN, check_ordinary
from ssl_mix.shell import quoted

CONFIG, SPLIT, METRICS, FILES = "config.json", "split.json", "metrics.jsonl", "files.json"
LABELS, LADDER = "labels.json", "auto.json"
FORMAT = "ssl-mix run 1"
CONTENT = ("algorithm", "data", "net", "train", "dataset", "versions", "given")  # of config.json
Record = dict[str, float]
EVENTS = "tensorboard"
DEEPEST = 4  # folders below one that runs are looked for


def check_run_folder(folder: Path, *, overwrite: bool) -> None:
    """Raise unless a new run may go to ``folder``.

    Raises:
        ValueError: the folder holds a run and ``overwrite`` is off, holds other files (never deleted), or
            lies in the folder of another run.
    """
    for around in folder.resolve().parents:
        if _is_anybodys_run(around):
            raise UserError(f"{folder} lies within the run {around}: choose another `out`, beside it")
    if _holds_run(folder):
        if not overwrite:
            raise UserError(
                f"{folder} already holds a run: go on with it (ssl-mix resume {quoted(folder)}), "
                "replace it (`overwrite`), or choose another `out`"
            )
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} exists and holds no run: choose another `out`, nothing was deleted")
    elif rank() == 0:
        check_place(folder / CONFIG)


def check_place(path: Path) -> None:
    """Raise unless a file can be made at ``path``, with the folders above it that are not there yet: the
    system is asked by a folder that goes away at once.

    Raises:
        ValueError: it cannot.
    """
    above = next(folder for folder in path.absolute().parents if folder.exists())
    try:
        with tempfile.TemporaryDirectory(prefix=".", dir=above):
            pass
    except OSError as error:
        reason = "a file" if not above.is_dir() else f"no place for new files ({error.strerror})"
        raise UserError(f"cannot write {path.parent}, {above} is {reason}: choose another `out`") from error


def create_run_folder(folder: Path, config: dict[str, Any], *, overwrite: bool) -> None:
    """Make ``folder``, in place of the run that it holds, and write ``config.json``.

    Raises:
        ValueError: see :func:`check_run_folder`.
    """
    check_run_folder(folder, overwrite=overwrite)
    if _holds_run(folder):
        shutil.rmtree(folder.resolve())
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / CONFIG, json.dumps(config, indent=2) + "\n")


def _holds_run(folder: Path) -> bool:
    return (folder / CONFIG).exists() and str(read_config(folder).get("format")).startswith("ssl-mix ")


def chosen_by_auto(folder: Path) -> str | None:
    """What ``auto`` chose for the run in ``folder``; None for another run."""
    if not (folder / LADDER).is_file():
        return None
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
        return str(json.loads((folder / LADDER).read_text(encoding="utf-8"))["chosen"])
    return None


def runs_below(folder: Path) -> Iterator[Path]:
    """Folders of runs in a folder and below it, as deep as a benchmark keeps them, in the order of their
    names."""
    for place, inner, files in os.walk(folder):
        inner.sort()
        found = CONFIG in files and is_run(Path(place))
        if found or len(Path(place).relative_to(folder).parts) == DEEPEST:
            inner.clear()  # nothing in a run is another
        if found:
            yield Path(place)


def is_run(folder: Path) -> bool:
    """Whether the folder is that of a run, and not of a demo or an exported network, say."""
    return (folder / CONFIG).exists() and "algorithm" in read_config(folder)


def _is_anybodys_run(folder: Path) -> bool:
    """``is_run`` of a folder whose files may be of any kind."""
    try:
        return is_run(folder)
    except (OSError, UserError):
        return False


def read_config(folder: Path) -> dict[str, Any]:
    """``config.json`` of a run.

    Raises:
        ValueError: there is no run in ``folder``.
    """
    check_ordinary(folder / CONFIG)
    try:
        config: dict[str, Any] = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        if not folder.exists():
            near = nearest(folder.name, (beside.name for beside in folder.parent.glob("*")))
            raise UserError(f"{folder} holds no run: there is no such folder.{near}") from error
        below = next(runs_below(folder), None)
        hint = "" if below is None else f", but some are below it: name one, {below} for instance"
        raise UserError(f"{folder} holds no run ({CONFIG} is missing){hint}") from error
    except json.JSONDecodeError as error:
        raise UserError(f"{folder / CONFIG} is not valid JSON ({error}): {AGAIN}") from error
    except (UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"{folder / CONFIG} is damaged ({error}): {AGAIN}") from error
    if not isinstance(config, dict):
        raise UserError(f"{folder / CONFIG} does not describe a run, expected a JSON object: {AGAIN}")
    lacking = [name for name in CONTENT if not isinstance(config.get(name), dict)]
    if lacking and config.get("format") == FORMAT:
        raise UserError(
            f"{folder / CONFIG} is damaged ({lacking[0]!r} is missing or no JSON object): {AGAIN}"
        )
    return config


def read_metrics(folder: Path) -> list[Record]:
    """All records of ``metrics.jsonl``; a last line that a crash cut short is left out.

    Raises:
        ValueError: another line is no record.
    """
    path = folder / METRICS
    check_ordinary(path)
    lines = path.read_bytes().splitlines() if path.exists() else []
    records = [_record(line) for line in lines]
    damaged = [number for number, record in enumerate(records[:-1], 1) if record is None]
    if damaged:
        raise UserError(f"{path} is damaged in line {damaged[0]}: take that line out")
    return [record for record in records if record is not None]


def _record(line: bytes) -> Record | None:
    """The record in a line, if there is a whole one."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    whole = isinstance(found, dict) and "step" in found
    return found if whole and all(isinstance(value, int | float) for value in found.values()) else None


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    write_whole(path, lambda file: file.write(text.encode("utf-8")))


def write_names(path: Path, names: Iterable[str]) -> None:
    """Write a JSON list of names whole or not at all, a name a line: of a million it takes no memory."""

    def write(file: BinaryIO) -> None:
        for number, name in enumerate(names):
            file.write(b",\n" if number else b"[\n")
            file.write(json.dumps(name).encode())
        file.write(b"\n]")

    write_whole(path, write)


def write_whole(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Let ``write`` fill a file that takes the place of ``path`` once it is whole and on the disk; what is no
    ordinary file, a pipe for instance, is written to as it is.

    Raises:
        OSError: it cannot be written; what was there before stays.
    """
    path = path.resolve()  # of a link, what it points to
    if path.exists() and not path.is_file():
        with open(path, "wb") as file:
            write(file)
        return
    temporary = path.with_name(f".{path.name}.partial")
    try:
        with open(temporary, "wb") as file:
            try:
                write(file)
            except RuntimeError as error:  # as torch.save reports a failed write
                reason = str(error).splitlines()[0]
                raise OSError(
                    f"cannot write {path}: its disk is full, or files there may not be as large ({reason})"
                ) from error
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def metrics_writer(folder: Path, step: int) -> Iterator[Callable[[Record], object]]:
    """Within the block records are written, see :class:`MetricsWriter`; of several processes the first one
    writes."""
    if rank() > 0:
        yield lambda record: None
        return
    writer = MetricsWriter(folder, step)
    try:
        yield writer.write
    finally:
        writer.close()


class MetricsWriter:
    """Appends records to ``metrics.jsonl`` and TensorBoard.

    Args:
        folder: of the run.
        step: records after this step are dropped first: a resumed run writes them again.
    """

    def __init__(self, folder: Path, step: int) -> None:
        kept = [record for record in read_metrics(folder) if record["step"] <= step]
        write_text(folder / METRICS, "".join(json.dumps(record) + "\n" for record in kept))
        self._file = open(folder / METRICS, "a")  # noqa: SIM115 (closed by close)
        self._events = SummaryWriter(str(folder / EVENTS), purge_step=step + 1)

    def write(self, record: Record) -> None:
        """One line, on the disk when this returns, and one point per curve."""
        self._file.write(json.dumps(record) + "\n")
        self._file.flush()
        for name, value in record.items():
            if name != "step":
                self._events.add_scalar(name, value, int(record["step"]))

    def close(self) -> None:
        """Flush and close the files."""
        self._file.close()
        self._events.close()
