"""The files of a run.

``config.json`` (everything that defines the run, with versions), ``split.json`` (labeled indices and their
SHA-256), ``metrics.jsonl`` (one record a line), ``files.json`` (names of the training images, where they are
files), TensorBoard events, ``checkpoint.pt`` and the one before it, ``pseudo_labels.csv``, ``report.html``.
"""

import json
import os
import shutil
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from ssl_mix.errors import UserError

CONFIG, SPLIT, METRICS, FILES = "config.json", "split.json", "metrics.jsonl", "files.json"
Record = dict[str, float]
EVENTS = "tensorboard"


def create_run_folder(folder: Path, config: dict[str, Any], *, overwrite: bool) -> None:
    """Make ``folder`` and write ``config.json``.

    Raises:
        ValueError: see :func:`check_free`.
    """
    check_free(folder, overwrite=overwrite)
    if (folder / CONFIG).exists():
        shutil.rmtree(folder.resolve())
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / CONFIG, json.dumps(config, indent=2) + "\n")


def check_free(folder: Path, *, overwrite: bool) -> None:
    """Raise where there is no place for a run.

    Raises:
        ValueError: the folder holds a run and ``overwrite`` is off, or holds other files (never deleted).
    """
    if (folder / CONFIG).exists() and str(read_config(folder).get("format")).startswith("ssl-mix "):
        if not overwrite:
            raise UserError(
                f"{folder} already holds a run: go on with it (ssl-mix resume {folder}), "
                "replace it (--overwrite), or choose another --out"
            )
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} exists and holds no run: choose another --out, nothing was deleted")


def read_config(folder: Path) -> dict[str, Any]:
    """``config.json`` of a run.

    Raises:
        ValueError: there is no run in ``folder``.
    """
    try:
        config: dict[str, Any] = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError(f"{folder} holds no run ({CONFIG} is missing)") from error
    except json.JSONDecodeError as error:
        raise UserError(f"{folder / CONFIG} is not valid JSON: {error}") from error
    if not isinstance(config, dict):
        raise UserError(f"{folder / CONFIG} does not describe a run: expected a JSON object")
    return config


def read_metrics(folder: Path) -> list[Record]:
    """All whole records of ``metrics.jsonl``; a last line that a crash cut short is left out."""
    path = folder / METRICS
    records = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return records


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    temporary = path.with_name(f".{path.name}.partial")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


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
