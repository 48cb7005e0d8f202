"""BSS: fine-tune, and suppress the directions in which the features of a batch hardly differ.

Source: Chen et al., "Catastrophic Forgetting Meets Negative Transfer: Batch Spectral Shrinkage for Safe
Transfer Learning" (NeurIPS 2019), equation 3.

Published accuracy with 15 % of the labels (ResNet-50, ten-crop): CUB-200 47.74, Stanford-Cars 40.57,
FGVC-Aircraft 40.41 (Wang et al., ICML 2021).
"""

import torch.nn.functional as F
from torch import Tensor, nn

from ssl_mix.algorithms.fine_tuning import FineTuning, Terms, View
from ssl_mix.errors import check_count, check_not_negative
from ssl_mix.losses import spectral_shrinkage
from ssl_mix.passes import backbone, full_precision


class BSS(FineTuning):
    """Fine-tune, and suppress the directions in which features hardly differ.

    ``loss = CE + shrinkage_weight * (sum of the k smallest squared singular values of the features (B, D))``.

    Args:
        shrinkage_weight: eta in the paper, of the shrinking term.
        smallest: k, how many singular values.
        view: of the labeled images, see :class:`FineTuning`.

    Differs: eigenvalues of the Gram matrix, which are the squared singular values, for a singular value
    decomposition. Finding them makes the host wait for a GPU.
    """

    needs_body = "shapes the features"

    def __init__(self, *, shrinkage_weight: float = 0.001, smallest: int = 1, view: View = "strong") -> None:
        super().__init__(view=view)
        check_not_negative("shrinkage_weight", shrinkage_weight)
        check_count("smallest", smallest)
        self.shrinkage_weight, self.smallest = shrinkage_weight, smallest

    def terms(self, net: nn.Module, images: Tensor, labels: Tensor) -> Terms:
        """See ``FineTuning``."""
        features = backbone(net).features(images)
        logits = full_precision(backbone(net).head(features))
        return {
            "labeled": (1.0, F.cross_entropy(logits, labels)),
            "shrinkage": (self.shrinkage_weight, spectral_shrinkage(features, smallest=self.smallest)),
        }
