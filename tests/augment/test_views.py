"""Several views of the same images."""

from typing import Any

import pytest
import torch

from ssl_mix.augment import Augmentation
from ssl_mix.errors import UserError


def test_numbered_views_are_drawn_by_themselves() -> None:
    images = (
        (torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0)).abs() * 60)
        .clamp(max=255)
        .to(torch.uint8)
    )
    augmentation = Augmentation(mean=(0.5,) * 3, std=(0.2,) * 3)
    names = ("plain", "weak", "weak2", "strong", "strong2", "plain2")
    views = augmentation.views(images, names, torch.Generator().manual_seed(1))
    assert torch.equal(views["plain"], views["plain2"])
    for name in ("weak", "strong"):
        assert not torch.equal(views[name], views[name + "2"])
    alone = augmentation.views(images, ("weak", "strong"), torch.Generator().manual_seed(1))
    assert torch.equal(alone["weak"], views["weak"])
    with pytest.raises(UserError, match="weka2.*'weak'"):
        augmentation.views(images, ("weka2",), torch.Generator())


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"std": (0.5, 0.0, 0.5)}, "std must be above 0, got 0.0"),
        ({"std": (0.5,)}, "a number for each channel, got 3 and 1"),
        ({"mean": (118.0, 111.0, 103.0)}, r"mean must lie in \[0, 1\], got 118.0"),
        ({"mean": (0.5, float("nan"), 0.5)}, r"mean must lie in \[0, 1\], got nan"),
        ({"padding": -1}, "padding must not be negative"),
        ({"size": 0}, "size must be above 0"),
        ({"crop": "random"}, "crop must be one of pad, resized, got 'random'"),
        ({"policy": "augmx"}, "Did you mean 'augmix'"),
    ],
)
def test_settings_that_no_image_can_have(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told):
        Augmentation(**{"mean": (0.5,) * 3, "std": (0.2,) * 3, **wrong})
