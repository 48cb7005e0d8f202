"""Draw docs/mixed.png: what the mixers do, on the two photographs that come with scikit-learn.

python scripts/draw_mixed.py
"""

from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from sklearn.datasets import load_sample_images
from torch import Tensor

from ssl_mix.mixers import CutMix, Mixup

SIDE = 360


def photographs() -> tuple[Tensor, Tensor]:
    """A flower (the labeled image) and a temple (the unlabeled one), (1, 3, SIDE, SIDE) in [0, 1]."""
    temple, flower = (torch.from_numpy(np.array(image)) for image in load_sample_images().images)
    crop = [image[30 : 30 + SIDE, 140 : 140 + SIDE] for image in (flower, temple)]
    flower, temple = (image.permute(2, 0, 1)[None].float() / 255 for image in crop)
    return flower, temple


def main() -> None:
    """Draw and save."""
    flower, temple = photographs()
    generator = torch.Generator().manual_seed(5)
    mixup, mixup_lam = Mixup().mix(flower, temple, lam=0.5, generator=generator)
    cutmix, cutmix_lam = CutMix().mix(flower, temple, lam=0.7, generator=generator)
    asymmetric, temple_share = Mixup().mix(temple, flower, lam=0.7, generator=generator)
    pasted, pasted_share = CutMix().mix(temple, flower, lam=0.7, generator=generator)
    panels = {
        'labeled: "flower"': flower,
        "unlabeled, pseudo-label: temple": temple,
        f"Mixup, lam = {mixup_lam.item():.2f}": mixup,
        f"CutMix, lam = {cutmix_lam.item():.2f}": cutmix,
        f"AS by Mixup: {1 - temple_share.item():.2f} labeled": asymmetric,
        f"AS by CutMix: {1 - pasted_share.item():.2f} labeled": pasted,
    }
    figure = Figure(figsize=(13, 2.6), layout="constrained")
    for position, (title, image) in enumerate(panels.items(), start=1):
        axes = figure.add_subplot(1, len(panels), position)
        axes.imshow(image[0].permute(1, 2, 0).numpy())
        axes.set_title(title, fontsize=9)
        axes.set_axis_off()
    target = Path(__file__).parent.parent / "docs" / "mixed.png"
    figure.savefig(target, dpi=70)
    print(target)


if __name__ == "__main__":
    main()
