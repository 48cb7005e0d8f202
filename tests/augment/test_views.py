"""Several views of the same images."""

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
