"""Several looks at one image, whose features are averaged."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssl_mix.errors import UserError
from ssl_mix.passes import backbone, evaluating

ENLARGED = (1.25, 1.75)  # times, at least and at most
STEPS = 8  # a scale is a whole number of eighths, which every type of numbers holds as it is


class Look(NamedTuple):
    """How a network is shown an image.

    Attributes:
        scale: factor of its sides.
        mirrored: whether left is right.
    """

    scale: float = 1.0
    mirrored: bool = False

    def at(self, images: Tensor) -> Tensor:
        """The images (N, C, H, W) so shown: (N, C, scale H, scale W), rounded down."""
        seen = images.flip(3) if self.mirrored else images
        if self.scale == 1:
            return seen
        return F.interpolate(seen, scale_factor=self.scale, mode="bilinear", align_corners=False)


def looks_in(looked: Tensor) -> tuple[Look, ...]:
    """The looks that a tensor (V, 2) holds, as ``torch.tensor(looks)`` makes it."""
    return tuple(Look(scale, bool(mirrored)) for scale, mirrored in looked.tolist())


def averaged_features(body: nn.Module, images: Tensor, looks: Sequence[Look]) -> Tensor:
    """Mean of the features (N, D) of images (N, C, H, W) over some looks at them.

    Networks that learn from random crops see things larger there than in whole images: enlarged ones are more
    like what they know (Touvron et al., "Fixing the train-test resolution discrepancy", NeurIPS 2019).
    """
    return torch.stack([backbone(body).features(look.at(images)) for look in looks]).mean(dim=0)


def fitting_looks(
    body: nn.Module, shape: tuple[int, int, int], *, flip: bool, trained: int | None
) -> tuple[Look, ...]:
    """An image as it is, and once enlarged and mirrored.

    It is enlarged 1.25 times, or up to 1.75 times where it is smaller than those that the network was trained
    on; not at all where a network is made for one size. It is not mirrored where that would change what an
    image means.

    Args:
        body: that makes the features; its mode is restored.
        shape: (C, H, W) of the images.
        flip: whether their mirror images mean the same.
        trained: side of the images that the network was trained on, where it is known.
    """
    least, most = ENLARGED
    scale = least if trained is None else min(max(least, trained / shape[2]), most)
    larger = Look(round(scale * STEPS) / STEPS, mirrored=flip)
    [weight, *_] = body.parameters()
    with evaluating(body), torch.inference_mode():
        try:
            averaged_features(body, torch.zeros(1, *shape, device=weight.device), [larger])
        except (UserError, RuntimeError, AssertionError):
            larger = Look(mirrored=flip)
    return (Look(),) if larger == Look() else (Look(), larger)


def looks_note(looks: Sequence[Look]) -> str:
    """What the user should know of them."""
    if len(looks) == 1:
        return "`tta` has no effect: the network is made for one size, and mirror images mean something else"
    enlarged, mirrored = looks[1].scale != 1, looks[1].mirrored
    how = " and ".join([f"enlarged {looks[1].scale:g} times"] * enlarged + ["mirrored"] * mirrored)
    return f"features are means over the image as it is and {how}, when it answers too (`tta`)"
