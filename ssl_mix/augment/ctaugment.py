"""CTAugment: RandAugment whose strengths are learned while a network trains."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssl_mix.augment.apply import Choices, apply_choices, magnitudes, ranges_in_pixels
from ssl_mix.augment.checks import check_images
from ssl_mix.augment.pools import EVERY, Range
from ssl_mix.errors import UserError, check_count, check_positive, check_share

POOL = tuple(name for name in EVERY if name != "equalize")  # which "flatten" is by degrees
BINS = {"identity": 1, "posterize": 8}
MOST = 17  # bins of every other operation
_ENHANCE, _DEGREE, _SLOPE = Range(0.1, 2.0), Range(1, 0), Range(-0.3, 0.3)
RANGES = {
    "posterize": Range(1, 8.999, whole=True),
    "solarize": Range(0, 256),
    **dict.fromkeys(("brightness", "contrast", "color", "sharpness"), _ENHANCE),
    **dict.fromkeys(("autocontrast", "smooth", "blur", "flatten", "invert"), _DEGREE),
    "rotate": Range(-45, 45),
    **dict.fromkeys(("shear_x", "shear_y", "translate_x", "translate_y"), _SLOPE),
    "cutout": Range(0, 0.5),
    "rescale": Range(0, 0.25),
}


class Probed(NamedTuple):
    """Images that were altered to learn from, and which bins did it.

    Attributes:
        images: (N, C, H, W) uint8.
        slots: positions in ``CTAugment.rates``, flattened, (D, N) int64, on the device of the rates.
    """

    images: Tensor
    slots: Tensor


class CTAugment(nn.Module):
    """Operations drawn uniformly for each image, at strengths whose rates are learned.

    The strengths of an operation are parted into bins, each with a rate r that begins at 1. A bin is drawn
    with probability proportional to ``p = (r + 1 - decay) / max(r + 1 - decay)`` where that is at least
    ``threshold``, else 0; the strength is uniform within it. Labeled images are probed with bins drawn
    uniformly, and each bin that altered one learns how well the network still knows it, ::

        r <- decay r + (1 - decay) (1 - sum_c |p_c - y_c| / 2)

    one image after the other. The rates are a buffer; neither drawing nor learning waits for the device::

        strong = policy(images, generator=generator)
        probed = policy.probe(labeled, generator=generator)
        policy.update(probed.slots, net(normalize(probed.images)).softmax(1), labels)

    Args:
        geometry: factor on the ranges of rotation, shear and translation; below 1 for tiny images.
        draws: operations for each image.
        threshold: below which a bin is never drawn, in [0, 1].
        decay: of rates, in [0, 1]; 1 learns nothing.

    Raises:
        ValueError: a value out of range.

    Attributes:
        rates: (19, 17) float32, a row for each operation of ``POOL``, of which as many count as it has bins.

    Source: Berthelot et al., "ReMixMatch" (ICLR 2020), section 3.2.1, with the operations, depth 2 and
    threshold 0.8 of Sohn et al., "FixMatch" (NeurIPS 2020), and their code. The paper divides the distance by
    the number of classes too, which would leave every rate above the threshold; the code does not. Differs
    from the code: translations are shares of the side, as the paper says, where the code takes them for
    pixels and moves nothing; rescale is bilinear, without five other filters whose choice is learned; angles
    and squares are not rounded to whole numbers.
    """

    rates: Tensor

    def __init__(
        self, *, geometry: float = 1.0, draws: int = 2, threshold: float = 0.8, decay: float = 0.99
    ) -> None:
        super().__init__()
        check_count("draws", draws)
        check_positive("geometry", geometry)
        for name, value in (("threshold", threshold), ("decay", decay)):
            check_share(name, value)
        self.geometry, self.draws, self.threshold, self.decay = geometry, draws, threshold, decay
        self.register_buffer("rates", torch.ones(len(POOL), MOST))

    def forward(self, images: Tensor, *, generator: torch.Generator, draws: int | None = None) -> Tensor:
        """Alter images at strengths that were learned; the input stays as it is.

        Args:
            images: (N, C, H, W) uint8 with 1 or 3 channels, where the rates are.
            generator: on the CPU.
            draws: operations for each image; default: ``draws`` of the policy.

        Raises:
            ValueError: the images are not uint8, have another number of channels, or lie elsewhere than the
                rates.
        """
        count, _, height, width = self._checked(images)
        return apply_choices(images, self.sample(count, height, width, generator, draws=draws)[0])

    def probe(self, images: Tensor, *, generator: torch.Generator) -> Probed:
        """Alter labeled images at strengths drawn uniformly, to learn from; arguments as for a call."""
        count, _, height, width = self._checked(images)
        choices, slots = self.sample(count, height, width, generator, probe=True)
        return Probed(apply_choices(images, choices), slots)

    def sample(
        self,
        count: int,
        height: int,
        width: int,
        generator: torch.Generator,
        *,
        draws: int | None = None,
        probe: bool = False,
    ) -> tuple[Choices, Tensor]:
        """Draw operations, strengths and the slots of their bins for ``count`` images of ``height`` x
        ``width`` pixels; bins by their rates, or uniformly to ``probe``."""
        shape, device = (draws or self.draws, count), self.rates.device
        kind = torch.randint(len(POOL), shape, generator=generator)
        uniform = torch.rand(2, *shape, dtype=torch.float64, generator=generator)
        place = torch.rand(2, *shape, generator=generator)
        there, bins = (what.to(device, non_blocking=True) for what in (kind, _bins()[kind]))
        pick, within = uniform.to(device, non_blocking=True).unbind(0)
        shares = (torch.ones_like(self.rates) if probe else self.shares()).cumsum(1)[there]
        total = bins if probe else shares[..., -1]
        chosen = (shares <= (pick * total)[..., None]).sum(-1).minimum(bins - 1)
        ranges = ranges_in_pixels(RANGES, self.geometry, height, width, names=POOL)[kind]
        ranges = ranges.to(device, non_blocking=True)
        operation = torch.tensor([EVERY.index(name) for name in POOL])[kind]
        found = Choices(operation, magnitudes(ranges, (chosen + within) / bins, pick), place)
        return found, there * MOST + chosen

    def _checked(self, images: Tensor) -> torch.Size:
        check_images(images, "CTAugment", channels=(1, 3))
        if images.device != self.rates.device:
            raise UserError(
                f"CTAugment's rates are on {self.rates.device} and the images on {images.device}: "
                "policy.to(device)"
            )
        return images.shape

    def shares(self) -> Tensor:
        """p of each bin, (19, 17): 0 where it is never drawn."""
        there = torch.arange(MOST) < _bins()[:, None]
        raised = (self.rates.double() + 1 - self.decay) * there.to(self.rates.device, non_blocking=True)
        p = raised / raised.amax(1, keepdim=True)
        return p.masked_fill(p < self.threshold, 0.0)

    @torch.no_grad()
    def update(self, slots: Tensor, probabilities: Tensor, labels: Tensor) -> None:
        """Learn from what a network says of probed images.

        Args:
            slots: of ``probe``.
            probabilities: of the classes, (N, C).
            labels: classes, (N,) int64.
        """
        truth = F.one_hot(labels, probabilities.shape[1])
        match = 1 - (probabilities.double() - truth).abs().sum(1) / 2
        place = torch.arange(self.rates.numel(), device=slots.device)
        hit = (slots.T.reshape(-1, 1) == place).double()  # in the order of images, then of draws
        later = hit.flip(0).cumsum(0).flip(0) - hit
        news = (hit * self.decay**later * match.repeat_interleave(len(slots))[:, None]).sum(0)
        kept = self.decay ** hit.sum(0) * self.rates.flatten()
        self.rates.copy_((kept + (1 - self.decay) * news).view_as(self.rates))


def _bins() -> Tensor:
    """How many bins each operation of ``POOL`` has, (19,) int64."""
    return torch.tensor([BINS.get(name, MOST) for name in POOL])
