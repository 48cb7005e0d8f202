"""SimMatch: strongly and weakly altered images get the same class, and the same likeness to every labeled
image.

Source: Zheng et al., "SimMatch: Semi-supervised Learning with Similarity Matching" (CVPR 2022), Algorithm 1,
and its code (ImageNet). Differs: the memory begins with all labeled images and takes in those of a step
before it is used, where the code begins with random keys and leaves likenesses out for an epoch; the
alignment is a moving average, where the code takes the mean of the last 256 batches. For CIFAR the paper and
USB average the student's keys of an image over time; here the teacher makes them, as for ImageNet.

Expected error (CIFAR-10, USB, best checkpoint): 5.18 +- 0.15 (40 labels), 4.99 +- 0.12 (250), 4.51 +- 0.08
(4000); the paper: 5.60 +- 1.37 (40 labels), 4.84 +- 0.39 (250), 3.96 +- 0.01 (4000).
"""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssl_mix.algorithm import Algorithm, parts, step_output
from ssl_mix.banks import known_indices
from ssl_mix.errors import check_count, check_not_negative, check_positive, check_share
from ssl_mix.mixing.terms import MixingTerms
from ssl_mix.mixing.words import Mix
from ssl_mix.passes import batch_statistics
from ssl_mix.queues import LabeledBank
from ssl_mix.targets import UNIFORM, Adjuster, Targets, hard_pseudo_labels, predicted
from ssl_mix.transfer.heads import add_projectors, embedded, encoded
from ssl_mix.transfer.neighbors import closeness
from ssl_mix.types import Batch, Nets, Step, StepOutput, Task


class SimMatch(Algorithm):
    """FixMatch with a teacher, whose answer and whose likenesses to the labeled images correct each other.

    p is the teacher's aligned prediction on the weak view, ``s = softmax_k(z m_k / T)`` the likeness of its
    embedding z to the last embedding m_k of each labeled image, of class y_k. ``q = a p + (1 - a) sum of s_k
    over the images of each class``; ``r_k = s_k p[y_k]``, made to sum to 1. ``loss = CE(p(x), y) +
    unlabeled_weight * mean(1[max q >= threshold] * CE(p(strong u), q)) + instance_weight * CE(r,
    softmax_k(z' m_k / T))``, plus the terms of ``mixing``; z' is the student's embedding of the strong view.
    The teacher normalizes by the batch.

    Args:
        threshold: tau, the confidence a pseudo-label must reach, in [0, 1]; the code for ImageNet: 0.7.
        prediction_share: a, in [0, 1]; the rest of a pseudo-label is what the labeled images say.
        temperature: T, of the likenesses.
        width: of the embeddings.
        projectors: how many make the embedding, which is their mean; EPASS takes 3.
        unlabeled_weight: lambda_u, weight of the unlabeled term; the code for ImageNet: 10.
        instance_weight: lambda_in, weight of the likenesses.
        unlabeled_ratio: mu, unlabeled images per labeled one in a batch.
        mixing: mixing terms added to the loss: decoupled mixup (DM) and the asymmetric strategy (AS).
        targets: what makes pseudo-labels less biased before labeled images correct them.

    Attributes:
        bank: the last key and the class of each labeled image.

    Raises:
        ValueError: an argument is out of range; in ``extend``: the network has no linear head, or the number
            of labeled images is not known.
    """

    unlabeled_views = ("weak", "strong")

    def __init__(
        self,
        *,
        threshold: float = 0.95,
        prediction_share: float = 0.9,
        temperature: float = 0.1,
        width: int = 128,
        projectors: int = 1,
        unlabeled_weight: float = 1.0,
        instance_weight: float = 1.0,
        unlabeled_ratio: int = 7,
        mixing: MixingTerms | Mix = "none",
        targets: Targets = UNIFORM,
    ) -> None:
        super().__init__()
        check_share("threshold", threshold)
        check_share("prediction_share", prediction_share)
        check_positive("temperature", temperature)
        check_count("width", width)
        check_count("projectors", projectors)
        check_not_negative("unlabeled_weight", unlabeled_weight)
        check_not_negative("instance_weight", instance_weight)
        check_count("unlabeled_ratio", unlabeled_ratio)
        self.threshold, self.prediction_share = threshold, prediction_share
        self.temperature, self.width, self.projectors = temperature, width, projectors
        self.unlabeled_weight, self.instance_weight = unlabeled_weight, instance_weight
        self.unlabeled_ratio = unlabeled_ratio
        self.mixing = MixingTerms.of(mixing).check_added()
        self.targets = targets.check("SimMatch", remembers=True)
        self.adjust = Adjuster(targets)

    def extend(self, net: nn.Module, task: Task) -> nn.Module:
        """Projectors, and a slot for each labeled image."""
        add_projectors(net, self.width, self.projectors)
        self.bank = LabeledBank(task.num_labeled, task.num_classes, self.width)
        return super().extend(net, task)

    def begin(self, nets: Nets, labeled: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Fill the memory with the labeled images."""
        self.bank.fill(*embedded(nets.teacher, labeled))

    def forward(self, nets: Nets, batch: Batch, step: Step) -> StepOutput:
        """One step of the paper's Algorithm 1, with the mixing terms."""
        x, labels, u = parts(self, batch)
        weak, strong = (u.views[name] for name in self.unlabeled_views)
        logits, embeddings = encoded(nets.student, torch.cat((x, strong)))
        with torch.no_grad(), batch_statistics(nets.teacher):
            answers, keys = encoded(nets.teacher, torch.cat((x, weak)))
        slots = known_indices(batch.labeled.indices, "labeled")
        news = {"keys": keys[: len(x)], "classes": labels, "slots": slots}
        memory, truth = self.bank.with_batch(*news.values())

        adjusted = self.adjust(predicted(answers[len(x) :]), nets, (x, labels), weak, step)
        target, likeness = self._corrected(adjusted.probabilities, keys[len(x) :], memory, truth)
        pseudo, others = self.adjust.select(hard_pseudo_labels(target, u.indices, self.threshold), adjusted)
        losses = F.cross_entropy(logits[len(x) :], target, reduction="none")
        near = closeness(embeddings[len(x) :], memory, self.temperature, truth.any(dim=1))
        terms = {
            "labeled": (1.0, F.cross_entropy(logits[: len(x)], labels)),
            "unlabeled": (self.unlabeled_weight, (pseudo.mask * losses).mean()),
            "instance": (self.instance_weight, F.cross_entropy(near, likeness)),
        }
        mixed = self.mixing(nets.student, x, labels, step, unlabeled=u.views, pseudo=pseudo)
        return step_output(terms, mixed, pseudo, news | others)

    def commit(self, carry: dict[str, Tensor]) -> None:
        """Enter the labeled images of the step into the memory."""
        super().commit(self.bank.enter(carry))

    @torch.no_grad()
    def _corrected(
        self, probabilities: Tensor, keys: Tensor, memory: Tensor, truth: Tensor
    ) -> tuple[Tensor, Tensor]:
        """q, (N, C), and r, (N, L)."""
        near = torch.softmax(closeness(keys, memory, self.temperature, truth.any(dim=1)), dim=1)
        near, truth = near.to(probabilities.dtype), truth.to(probabilities.dtype)
        with torch.autocast(near.device.type, enabled=False):
            likeness = F.normalize(near * (probabilities @ truth.T), p=1, dim=1)
            return torch.lerp(near @ truth, probabilities, self.prediction_share), likeness
