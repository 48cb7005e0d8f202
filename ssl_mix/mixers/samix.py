"""SAMix: AutoMix with a block that follows lam and masks that decide."""

from typing import ClassVar

from torch import Tensor, nn

from ssl_mix.mixers.automix import AutoMix
from ssl_mix.mixers.mixblock import AdaptiveMixBlock

VARIANCE_WEIGHT = 2.0


class SAMix(AutoMix):
    """AutoMix with a block that follows lam, and a reward for masks that vary over the image.

    The block is an :class:`AdaptiveMixBlock`. The mask term of the loss becomes
    ``mask_weight * (max(0, |mean(mask) - lam| - mask_margin) - 2 var(mask))``, the variance over the pixels
    of each mask. Arguments and use are those of AutoMix.

    Source: Li et al., "Boosting Discriminative Visual Representation Learning with Scenario-Agnostic Mixup"
    (2021). Differs from the published code beyond AutoMix's differences: the variance is that of each mask by
    itself, not of the batch as a whole, and its balanced loss, which has no effect there with soft labels, is
    left out.

    Examples:
        >>> mixer = SAMix()
        >>> mixer.mask_cost(torch.tensor([[[[1.0, 0.0]]]]), torch.tensor([0.5]))  # -2 var(mask)
        tensor([-0.5000])
    """

    block_class: ClassVar[type[nn.Module]] = AdaptiveMixBlock

    def mask_cost(self, mask: Tensor, lam: Tensor) -> Tensor:
        """What the masks (N, 1, H, W) of the block cost where lam (N,) was asked for: (N,)."""
        return super().mask_cost(mask, lam) - VARIANCE_WEIGHT * mask.flatten(1).var(1, correction=0)
