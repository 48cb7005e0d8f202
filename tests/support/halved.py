"""A run that stops half-way and goes on, beside one that does not."""

from pathlib import Path

import torch

from ssl_mix.runs.run import Run
from ssl_mix.runs.session import Session, reopen, start


def assert_goes_on_to_the_bit(run: Run, whole: Session, folder: Path) -> None:
    """Train ``run`` to its second step, reopen it, and end with the weights of ``whole``, which is done."""
    half = start(run, folder)
    for record in half.records():
        if record["step"] == 2:
            half.trainer.stop = True
    rest = reopen(folder)
    assert rest.trainer.step == 2
    list(rest.records())
    ours, theirs = rest.trainer.teacher.net.state_dict(), whole.trainer.teacher.net.state_dict()
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
