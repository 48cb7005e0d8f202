"""How far training is, line by line, for a pipe or a file."""

import time

from ssl_mix.runs.folder import Record

LINES = 10  # in a run, at least
ESTIMATED_AFTER = 60.0  # seconds: the first steps are no measure
UNITS = (("h", 3600.0), ("min", 60.0), ("s", 1.0))


class TrainingLines:
    """Tells training line by line: a line for each tenth of the run, each evaluation, and the first minute,
    from which on they tell the time left.

    Args:
        label: that lines begin with.
        steps: of the whole run.
        done: steps taken before.
    """

    def __init__(self, label: str, steps: int, done: int = 0) -> None:
        self.label, self.steps, self.done = label, steps, done
        self.began, self.last, self.estimated = time.perf_counter(), done, False

    def due(self, step: int) -> bool:
        """Whether a line is due after ``step`` steps, evaluated or not."""
        new_tenth = step * LINES // self.steps > self.last * LINES // self.steps
        return new_tenth or (not self.estimated and self._passed() > ESTIMATED_AFTER)

    def line(self, record: Record) -> str | None:
        """The line of a record, if one is due."""
        step = int(record["step"])
        if not (self.due(step) or {"test_accuracy", "validation_accuracy"} & record.keys()):
            return None
        self.last = step
        return f"{self.label}  {summary_line(record, self.steps)}{self._left(step)}"

    def _left(self, step: int) -> str:
        passed = self._passed()
        if passed <= ESTIMATED_AFTER or step == self.steps:
            return ""
        self.estimated = True
        return f"  {duration(passed / (step - self.done) * (self.steps - step))} left"

    def _passed(self) -> float:
        return time.perf_counter() - self.began


def duration(seconds: float) -> str:
    """About how long: 8 s, 12 min, 3.4 h."""
    unit, length = next((unit for unit in UNITS if seconds >= 2 * unit[1]), UNITS[-1])
    return f"{seconds / length:.1f} {unit}" if unit == "h" else f"{seconds / length:.0f} {unit}"


def summary_line(record: Record, steps: int) -> str:
    """One record in one line: step, loss, share of confident pseudo-labels, accuracies, images per second."""
    parts = [f"step {record['step']:.0f}/{steps}", f"loss {record['loss']:.3f}"]
    parts += [
        f"{name.replace('_', ' ')} {record[name]:.3f}"
        for name in ("coverage", "validation_accuracy", "test_accuracy")
        if name in record
    ]
    if "images_per_second" in record:
        parts.append(f"{record['images_per_second']:.0f} images/s")
    return "  ".join(parts)
