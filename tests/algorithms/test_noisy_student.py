"""What Noisy Student refuses."""

import copy
from typing import Any

import numpy as np
import pytest
from ssl_scene import Recorder

from ssl_mix.algorithms import NoisyStudent
from ssl_mix.errors import UserError
from ssl_mix.types import Nets


def test_random_weights_are_refused() -> None:
    net: Any = Recorder(np.random.default_rng(0), 1.0)
    with pytest.raises(UserError, match="`pretrained=RUN`"):
        NoisyStudent().begin(Nets(net, copy.deepcopy(net)), [])
