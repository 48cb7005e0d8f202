"""The file of a run that keeps what its logits are divided by for calibrated probabilities."""

import json
from pathlib import Path

from ssl_mix.errors import UserError
from ssl_mix.evaluation import Temperature
from ssl_mix.runs.folder import write_text
from ssl_mix.runs.reading import reading
from ssl_mix.shell import quoted

CALIBRATION = "calibration.json"


def keep_temperature(folder: Path, fitted: Temperature, step: int, images: str) -> None:
    """Write ``calibration.json``.

    Args:
        folder: of the run.
        fitted: the temperature.
        step: of the weights whose logits it was fitted to.
        images: that they are of, in words.
    """
    content = {"temperature": fitted.value, "note": fitted.note, "step": step, "fitted_on": images}
    write_text(folder / CALIBRATION, json.dumps(content, indent=1) + "\n")


def read_temperature(folder: Path, step: int) -> float:
    """The temperature of the weights after a step.

    Raises:
        ValueError: none was fitted, one for other weights, or one that has no minimum.
    """
    path, remedy = folder / CALIBRATION, f"fit one with ssl-mix evaluate {quoted(folder)} --suite calibration"
    if not path.exists():
        raise UserError(f"{folder} has no temperature for calibrated probabilities: {remedy}")
    with reading(path):
        found = json.loads(path.read_text(encoding="utf-8"))
        temperature, note, fitted = float(found["temperature"]), str(found["note"]), int(found["step"])
    if fitted != step:
        raise UserError(
            f"the temperature of {folder} is of the weights after step {fitted}, these are of step {step}: "
            f"{remedy}, with the same --weights"
        )
    if note:
        raise UserError(f"{folder} has no temperature for calibrated probabilities: {note}")
    return temperature
