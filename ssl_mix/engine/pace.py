"""How fast a run goes."""

import time
from collections.abc import Iterator
from typing import TypeVar

Item = TypeVar("Item")


class Pace:
    """Images per second and the share of the time spent waiting for them, since a step.

    Args:
        images_per_step: augmented images, all views counted.
        step: where the count starts.
    """

    def __init__(self, images_per_step: int, step: int) -> None:
        self.images_per_step = images_per_step
        self.restart(step)

    def restart(self, step: int) -> None:
        """Count from this step and this moment on."""
        self.began, self.step, self.waited = time.perf_counter(), step, 0.0

    def next_of(self, items: Iterator[Item]) -> Item:
        """The next item; the time that it takes is time spent waiting."""
        asked = time.perf_counter()
        item = next(items)
        self.waited += time.perf_counter() - asked
        return item

    def rates(self, step: int) -> dict[str, float]:
        """ "images_per_second" and "data_wait" up to this moment, ``step`` being reached."""
        passed = time.perf_counter() - self.began
        images = self.images_per_step * (step - self.step)
        return {"images_per_second": images / passed, "data_wait": self.waited / passed}
