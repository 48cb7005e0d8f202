"""Options that a data set has no use for."""

from pathlib import Path
from typing import Any

import pytest

from ssl_mix import UserError
from ssl_mix.recipes.build import build_run
from ssl_mix.runs.data_options import DataOptions
from ssl_mix.runs.places import check_outside
from ssl_mix.runs.session import start


@pytest.mark.parametrize("place", ["images", "images/cat", "images/../images/new/er"])
def test_what_is_written_goes_to_no_folder_of_images(place: str, tmp_path: Path) -> None:
    """Where later runs would find a class of its name, or images that nobody has put there."""
    (tmp_path / "images").mkdir()
    out = tmp_path / place
    for option in ("train", "unlabeled", "test"):
        options = DataOptions(**{option: str(tmp_path / "images")})
        with pytest.raises(UserError, match=f"`out` .* lies within `{option}` "):
            check_outside(options.folders, out, "out")
        check_outside(options.folders, tmp_path / "images2", "out")
    run = build_run("supervised", {"train": str(tmp_path / "images")}).run
    with pytest.raises(UserError, match="`out` .* lies within `train` "):
        start(run, out / "run")
    with pytest.raises(UserError, match="`cache_images` .* lies within `labeled` "):
        DataOptions(labeled=str(tmp_path / "images"), cache_images=str(out)).load()


@pytest.mark.parametrize("data", ["digits", "cifar10"])
def test_a_size_for_pictures_that_have_one_is_refused(data: Any) -> None:
    with pytest.raises(UserError, match=f"`data={data}` takes no `image_size`, only these do: stl10"):
        DataOptions(data=data, image_size=64).load()
