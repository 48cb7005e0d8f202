"""Options that a data set has no use for."""

from typing import Any

import pytest

from ssl_mix import UserError
from ssl_mix.runs.data_options import DataOptions


@pytest.mark.parametrize("data", ["digits", "cifar10"])
def test_a_size_for_pictures_that_have_one_is_refused(data: Any) -> None:
    with pytest.raises(UserError, match=f"`data={data}` takes no `image_size`, only these do: stl10"):
        DataOptions(data=data, image_size=64).load()
