"""Tables of what a suite says of the example, from the lines of ``scripts/evaluate_example.py``."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from ssl_mix.suites import SUITES

Line = dict[str, Any]
Table = tuple[Sequence[str], list[list[str]]]


def said(suite: str, lines: Sequence[Line]) -> Table:
    """The rows that the command prints."""
    [numbers] = [line["numbers"] for line in lines if line["suite"] == suite]
    return ["", ""], [[what, value] for what, value in SUITES[suite].rows(numbers)]


MEASURED = ("accuracy", "calibration", "ood", "corruption", "occlusion", "mixed")
TABLES = {f"example-{suite}": ("evaluate_example", partial(said, suite)) for suite in MEASURED}
