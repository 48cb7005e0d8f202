"""A picture of what a network makes of images, beside the truth."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ssl_mix.augment.views import Views
from ssl_mix.evaluation.segmentation import VOID
from ssl_mix.imported import imported
from ssl_mix.segmentation.data import read_pair
from ssl_mix.segmentation.pairs import Pair
from ssl_mix.segmentation.scoring import GridLogits, predict_mask
from ssl_mix.suites.figures import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN, SIDE = 4, 2.2  # images, and inches of each
COLORS = [*range(0, 20, 2), *range(1, 20, 2)]  # of the table that is used; further classes begin again


def draw(
    logits_of: GridLogits, pairs: Sequence[Pair], views: Views, size: int, device: torch.device
) -> "Figure":
    """Up to four images, spread evenly over ``pairs``, each with its mask and the predicted one, squashed to
    the square that the network sees; void is white.

    Args:
        logits_of: of a network in evaluation mode.
        pairs: images and masks.
        views: normalizes the images.
        size: side of the square in pixels.
        device: where the network is.
    """
    count = min(SHOWN, len(pairs))
    figure = new_figure(3 * SIDE, count * SIDE + 0.8)
    axes = figure.subplots(count, 3, squeeze=False)
    shown: set[int] = set()
    for number, row in enumerate(axes):
        pair = pairs[number * len(pairs) // count]
        stored, _ = read_pair(pair, size)
        images = views.normalize(views.plain(stored[None].to(device)), channels_last=True)
        found = predict_mask(logits_of, images, (size, size))[0].cpu()
        shown |= {*stored[3].flatten().tolist(), *found.flatten().tolist()}
        panels = stored[:3].permute(1, 2, 0).numpy(), _colored(stored[3]), _colored(found)
        for axis, panel in zip(row, panels, strict=True):
            axis.imshow(panel, interpolation="nearest")
            axis.set_axis_off()
        for axis, title in zip(row, (pair.image.name, "truth", "prediction"), strict=True):
            axis.set_title(title, fontsize=8)
    classes = sorted(shown - {VOID})
    patch = imported("matplotlib.patches").Patch
    patches = [patch(color=_colored(torch.tensor([c]))[0] / 255, label=str(c)) for c in classes]
    figure.legend(handles=patches, loc="outside lower center", ncols=10, fontsize=7, title="class")
    return figure


def _colored(mask: Tensor) -> npt.NDArray[np.uint8]:
    """Colors (..., 3) of the classes in a mask (...)."""
    table = imported("matplotlib").colormaps["tab20"](COLORS, bytes=True)[:, :3]
    values = mask.numpy()
    colors: npt.NDArray[np.uint8] = np.where((values == VOID)[..., None], 255, table[values % len(COLORS)])
    return colors.astype(np.uint8)
