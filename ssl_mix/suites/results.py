"""The file of a run that keeps what suites have measured."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ssl_mix.runs.folder import write_text
from ssl_mix.runs.reading import reading

RESULTS, FIGURES = "evaluation.json", "evaluation"
CONFUSION = "confusion.csv"  # among the figures


def read_results(folder: Path) -> dict[str, Any]:
    """Numbers by suite; none where no suite was run."""
    path = folder / RESULTS
    if not path.exists():
        return {}
    with reading(path):
        suites = json.loads(path.read_text(encoding="utf-8"))["suites"]
        return {str(name): dict(numbers) for name, numbers in suites.items()}


def keep_results(folder: Path, measured: Mapping[str, Any], about: Mapping[str, Any]) -> None:
    """Write numbers by suite into ``evaluation.json``, beside those of other suites that are there.

    Each says of which weights it is, and of which images: ``about``.
    """
    found = read_results(folder) | {name: {**about, **numbers} for name, numbers in measured.items()}
    write_text(folder / RESULTS, json.dumps({"suites": found}, indent=1) + "\n")
