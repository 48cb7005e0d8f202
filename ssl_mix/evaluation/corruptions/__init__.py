"""Common corruptions of images: fifteen kinds at five severities."""

import numpy as np
import torch
from torch import Tensor

from ssl_mix.augment.checks import check_images
from ssl_mix.errors import UserError, check_choice
from ssl_mix.evaluation.corruptions.kinds import KINDS

CORRUPTIONS = tuple(KINDS)
SEVERITIES = (1, 2, 3, 4, 5)


def corrupt(images: Tensor, kind: str, severity: int, generator: torch.Generator | None = None) -> Tensor:
    """Images with one of the fifteen corruptions of ImageNet-C and CIFAR-C.

    Parameters are those of the published codes: of CIFAR-C where the shorter side has less than 128 pixels,
    else of ImageNet-C; what these give in pixels for 32 or 224 stays in pixels, but for the elastic
    transform, which goes with the side. Each image has one draw of the generator, from which all else of it
    follows: a batch gives what its images give one by one.

    Args:
        images: uint8 (N, C, H, W) with 1 or 3 channels: what the network sees of them, not yet normalized.
        kind: one of ``CORRUPTIONS``.
        severity: 0 (the images themselves) to 5.
        generator: of one number an image, on the CPU; torch's own where None.

    Returns:
        uint8 (N, C, H, W), new, on the device of the images.

    Raises:
        ValueError: other images, kinds or severities.

    Source: Hendrycks & Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions and
    Perturbations" (ICLR 2019), and make_cifar_c.py and imagenet_c of its code. Differs from it: frost is not
    cut from photographs, which are not ours to hand on, but made by
    :func:`ssl_mix.evaluation.corruptions.textures.frost_texture` with their mean colors and deviations;
    motion blur (which snow has too) follows ImageMagick's formula without ImageMagick; draws are NumPy's
    newer ones.

    Examples:
        >>> images = torch.full((2, 3, 32, 32), 128, dtype=torch.uint8)
        >>> corrupt(images, "contrast", 5).unique(), corrupt(images, "brightness", 1).unique()
        (tensor([128], dtype=torch.uint8), tensor([140], dtype=torch.uint8))
        >>> torch.equal(corrupt(images, "fog", 0), images)
        True
    """
    check_images(images, "corrupt", channels=(1, 3))
    if images.is_meta:
        raise UserError("images on the meta device have no pixels to corrupt")
    check_choice("kind", kind, CORRUPTIONS)
    if severity not in (0, *SEVERITIES):
        raise UserError(f"severity must be a whole number from 0 (as they are) to 5, got {severity!r}")
    if severity == 0:
        return images.clone()
    seeds = torch.randint(2**63 - 1, (len(images),), generator=generator).tolist()
    apply, level = KINDS[kind].apply, KINDS[kind].level(severity, min(images.shape[2:]))
    found = torch.empty(images.shape, dtype=torch.uint8)
    for place, (image, seed) in enumerate(zip(images.cpu(), seeds, strict=True)):
        pixels = image.permute(1, 2, 0).numpy().astype(np.float64)
        changed = apply(pixels, level, np.random.default_rng(seed))
        # As the published codes do, digits behind the point are dropped; those of rounding do not count.
        whole = np.clip(np.floor(changed + 1e-6), 0, 255).astype(np.uint8)
        found[place] = torch.from_numpy(whole).permute(2, 0, 1)
    return found.to(images.device)
