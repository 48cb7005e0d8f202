"""The view of SequenceMatch between the weak and the strong one."""

import pytest
import torch

from ssl_mix import UserError
from ssl_mix.augment import Augmentation
from ssl_mix.augment.cached import CachedViews


def test_a_medium_view_is_between() -> None:
    """One operation where a strong view has three; without operations both are the weak view with a hole."""
    images = torch.randint(
        0, 256, (64, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    augmentation = Augmentation((0.5,) * 3, (0.5,) * 3, flip=False, padding=0)
    names = ("weak", "medium", "strong", "medium2")
    views = augmentation.views(images, names, torch.Generator().manual_seed(1))
    changed = {name: (views[name] != views["weak"]).float().mean().item() for name in names}
    assert 0 < changed["medium"] < changed["strong"] - 0.05
    assert not torch.equal(views["medium"], views["medium2"])


def test_there_are_no_features_of_medium_views() -> None:
    views = CachedViews(torch.zeros(3, 2), 1)
    with pytest.raises(UserError, match="unknown view 'medium': choose plain, weak, strong"):
        views.views(torch.zeros(1, dtype=torch.int64), ("medium",), torch.Generator())
