"""Draw docs/policies.jpg: the strong views that each policy makes of a photograph of scikit-learn's.

python scripts/draw_policies.py
"""

from pathlib import Path
from typing import get_args

import numpy as np
import torch
from matplotlib.figure import Figure
from sklearn.datasets import load_sample_images
from torch import Tensor

from ssl_mix.augment import Augmentation, CTAugment
from ssl_mix.augment.views import Policy

SIDE, COLUMNS = 160, 9
TITLES = {
    "randaugment": "RandAugment",
    "ctaugment": "CTAugment\nat first",
    "trivial": "Trivial-\nAugment",
    "augmix": "AugMix",
}


def flower() -> Tensor:
    """Copies of a flower, uint8 (COLUMNS, 3, SIDE, SIDE)."""
    picture = torch.from_numpy(np.array(load_sample_images().images[1]))[40:360:2, 200:520:2]
    return picture.permute(2, 0, 1).repeat(COLUMNS, 1, 1, 1)


def main() -> None:
    """Draw and save."""
    figure = Figure(figsize=(13, 6.2), layout="constrained")
    axes = figure.subplots(len(TITLES), COLUMNS)
    for row, policy in zip(axes, get_args(Policy), strict=True):
        augmentation = Augmentation((0.0,) * 3, (1.0,) * 3, padding=8, policy=policy)
        generator = torch.Generator().manual_seed(2)
        views = augmentation.views(flower(), ("strong",), generator, learned=CTAugment())["strong"]
        for cell, view in zip(row, views, strict=True):
            cell.imshow(view.permute(1, 2, 0).numpy())
            cell.set(xticks=[], yticks=[])
        row[0].set_ylabel(TITLES[policy], fontsize=10)
    target = Path(__file__).parent.parent / "docs" / "policies.jpg"
    figure.savefig(target, dpi=60)
    print(target)


if __name__ == "__main__":
    main()
