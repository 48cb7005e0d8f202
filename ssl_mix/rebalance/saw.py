"""SAW: pseudo-labels of classes that get few of them count more.

Source: Lai et al., "Smoothed Adaptive Weighting for Imbalanced Semi-Supervised Learning: Improve Reliability
Against Unknown Distribution Data" (ICML 2022), and ZJUJeffLai/SAW_SSL with ``--effective 1 --normalize 1``;
the effective number is that of Cui et al., "Class-Balanced Loss Based on Effective Number of Samples" (CVPR
2019). Differs: the counts are of the last pseudo-label of each image, anew in each step, where the authors
count once an epoch. Labeled images are not weighed; in USB's peer they always are.
"""

import torch
from torch import Tensor, nn

from ssl_mix.banks import LastClasses, known_indices
from ssl_mix.rebalance.addon import Addon, News
from ssl_mix.types import PseudoLabels, StepOutput, Task


class SAW(Addon):
    """Pseudo-labels of classes that get few of them count more.

    The mask of a pseudo-label of class c is multiplied by ``w_c = C e_c / sum_j e_j``, ``e_c = (1 - b) / (1 -
    b^n_c)``, ``b = (N - 1) / N``: n_c unlabeled images, 1 at least, were last taken for class c, confidently
    or not, and N is the mean of n_c. The weights of a step come from the steps before it; all are 1 at first.

    Attributes:
        last: class that each unlabeled image was last taken for, and how many there are of each.
    """

    chooses = True
    last: LastClasses

    def extend(self, net: nn.Module, task: Task) -> None:
        """A class for each unlabeled image."""
        super().extend(net, task)
        self.last = LastClasses(task.num_unlabeled, task.num_classes)

    def weigh(self, pseudo: PseudoLabels) -> tuple[PseudoLabels, News]:
        """The pseudo-labels with masks that are so weighed."""
        weights = effective_weights(self.last.counts[1:].float()).to(pseudo.mask)
        self.sight.notes["coverage"] = pseudo.mask.mean()
        news = {"slots": known_indices(pseudo.indices), "labels": pseudo.labels}
        return pseudo._replace(mask=pseudo.mask * weights[pseudo.labels]), news

    def enter_news(self, news: News) -> None:
        """Enter the pseudo-labels of a step."""
        self.last.update(news["slots"], news["labels"], torch.ones_like(news["labels"], dtype=torch.bool))

    def added(self, output: StepOutput) -> StepOutput:
        """What the algorithm returned, with a coverage that counts pseudo-labels and not their weights."""
        return output._replace(metrics=output.metrics | {"coverage": self.sight.notes["coverage"]})


def effective_weights(counts: Tensor) -> Tensor:
    """w_c, (C,), whose mean is 1, of the images n_c of each class, (C,) float."""
    counts = counts.clamp(min=1)
    mean = counts.mean()
    effective = -torch.expm1(counts * torch.log1p(-1 / mean.clamp(min=1 + 1e-6)))
    weights = 1 / effective
    return weights / weights.mean()
