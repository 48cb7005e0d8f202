"""The step of an algorithm as one graph: what Python decides in it, and what breaks it, is known."""

import pytest
import torch
from algorithm_scene import forward, networks, random_batch, step
from algorithm_tables import each

from ssl_mix.algorithms import ALGORITHMS

# Draws from a generator of the step's own, gradients of gradients, hooks, and a copy of a queue.
BREAKING = {
    "vat",
    "mixmatch",
    "remixmatch",
    "adamatch",
    "crmatch",
    "meta-pseudo-labels",
    "delta",
    "self-tuning",
}
pytestmark = pytest.mark.slow


@each
def test_a_step_is_one_graph(name: str) -> None:
    torch.compiler.reset()
    algorithm = ALGORITHMS[name]()
    nets, batch = networks(algorithm), random_batch(algorithm, 4, 8)
    whole = torch.compile(algorithm, backend="eager", fullgraph=True)
    if name in BREAKING:
        with pytest.raises(torch._dynamo.exc.Unsupported):
            whole(nets, batch, step())
        return
    found = whole(nets, batch, step())
    torch.testing.assert_close(found.loss, forward(ALGORITHMS[name](), batch).loss)
