"""CoMatch: pseudo-labels that are smoothed by what neighbors were taken for, and embeddings that follow the
graph of the pseudo-labels.

Source: Li et al., "CoMatch: Semi-supervised Learning with Contrastive Graph Regularization" (ICCV 2021),
Algorithm 1, and its code (CIFAR). Differs: the alignment is a moving average, as in the paper, where codes
take the mean of the last 32 batches; the memory smooths from the second step on, over what it holds, where
codes wait until it is full; logarithms of similarities are exact, where codes add 1e-7.

Expected error (CIFAR-10, USB, best checkpoint): 5.44 +- 0.05 (40 labels), 5.33 +- 0.12 (250), 4.29 +- 0.04
(4000); the paper: 6.91 +- 1.39 (40 labels), 4.91 +- 0.33 (250).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssl_mix.algorithm import Algorithm, parts, step_output
from ssl_mix.errors import check_count, check_not_negative, check_positive, check_share
from ssl_mix.mixing.pool import one_hot
from ssl_mix.mixing.terms import MixingTerms
from ssl_mix.mixing.words import Mix
from ssl_mix.queues import ClassQueue
from ssl_mix.targets import UNIFORM, Adjuster, Targets, hard_pseudo_labels, predicted
from ssl_mix.transfer.heads import add_projectors, encoded
from ssl_mix.transfer.neighbors import closeness
from ssl_mix.types import Batch, Nets, Step, StepOutput, Task


class CoMatch(Algorithm):
    """FixMatch with smoothed pseudo-labels, and strong views that resemble each other as these do.

    ``q = a p + (1 - a) sum_k softmax_k(z m_k / T) p_k``: p is the aligned prediction on the weak view, z its
    embedding, of length 1; m_k and p_k are embeddings and distributions in the memory, of weak views before
    they were smoothed and of labeled images. ``loss = CE(p(x), y) + unlabeled_weight * mean(1[max q >=
    threshold] * CE(p(strong u), q)) + contrast_weight * CE(W, softmax_j(z_i z'_j / T))``, plus the terms of
    ``mixing``. z and z' are embeddings of two strong views, and W is the graph of the batch: ``q_i q_j``
    where it reaches ``graph_threshold``, 1 for an image and itself, else 0; each row sums to 1.

    Args:
        threshold: tau, the confidence a pseudo-label must reach, in [0, 1].
        graph_threshold: of the likeness of two pseudo-labels, from which two images are joined, in [0, 1].
        prediction_share: a, in [0, 1]; the rest of a pseudo-label is what its neighbors were taken for.
        temperature: T, of both similarities.
        memory: K, images in the memory; the paper's is 5 batches: 5 (mu + 1) B.
        width: of the embeddings.
        projectors: how many make the embedding, which is their mean; EPASS takes 3.
        unlabeled_weight: lambda_cls, weight of the unlabeled term.
        contrast_weight: lambda_ctr, weight of the graph's term.
        unlabeled_ratio: mu, unlabeled images per labeled one in a batch.
        mixing: mixing terms added to the loss: decoupled mixup (DM) and the asymmetric strategy (AS).
        targets: what makes pseudo-labels less biased before neighbors smooth them.

    Attributes:
        queue: the newest m_k and p_k side by side, (1, K, width + C); zeros where there are none yet.

    Raises:
        ValueError: an argument is out of range; in ``extend``: the network has no linear head.
    """

    unlabeled_views = ("weak", "strong", "strong2")

    def __init__(
        self,
        *,
        threshold: float = 0.95,
        graph_threshold: float = 0.8,
        prediction_share: float = 0.9,
        temperature: float = 0.2,
        memory: int = 2560,
        width: int = 64,
        projectors: int = 1,
        unlabeled_weight: float = 1.0,
        contrast_weight: float = 1.0,
        unlabeled_ratio: int = 7,
        mixing: MixingTerms | Mix = "none",
        targets: Targets = UNIFORM,
    ) -> None:
        super().__init__()
        check_share("threshold", threshold)
        check_share("graph_threshold", graph_threshold)
        check_share("prediction_share", prediction_share)
        check_positive("temperature", temperature)
        check_count("memory", memory)
        check_count("width", width)
        check_count("projectors", projectors)
        check_not_negative("unlabeled_weight", unlabeled_weight)
        check_not_negative("contrast_weight", contrast_weight)
        check_count("unlabeled_ratio", unlabeled_ratio)
        self.threshold, self.graph_threshold = threshold, graph_threshold
        self.prediction_share, self.temperature = prediction_share, temperature
        self.memory, self.width, self.projectors = memory, width, projectors
        self.unlabeled_weight, self.contrast_weight = unlabeled_weight, contrast_weight
        self.unlabeled_ratio = unlabeled_ratio
        self.mixing = MixingTerms.of(mixing).check_added()
        self.targets = targets.check("CoMatch")
        self.adjust = Adjuster(targets)

    def extend(self, net: nn.Module, task: Task) -> nn.Module:
        """Projectors, and the memory."""
        add_projectors(net, self.width, self.projectors)
        self.queue = ClassQueue(1, self.memory, self.width + task.num_classes)
        self.queue.keys.zero_()
        return super().extend(net, task)

    def forward(self, nets: Nets, batch: Batch, step: Step) -> StepOutput:
        """One step of the paper's Algorithm 1, with the mixing terms."""
        x, labels, u = parts(self, batch)
        views = [x, *(u.views[name] for name in self.unlabeled_views)]
        sizes = [len(view) for view in views]
        logits, embeddings = encoded(nets.student, torch.cat(views))
        logits_x, logits_weak, logits_strong, _ = torch.split(logits, sizes)
        near_x, near_weak, first, second = torch.split(embeddings, sizes)

        adjusted = self.adjust(predicted(logits_weak), nets, (x, labels), u.views["weak"], step)
        target = self._smoothed(adjusted.probabilities, near_weak.detach())
        pseudo, news = self.adjust.select(hard_pseudo_labels(target, u.indices, self.threshold), adjusted)
        losses = F.cross_entropy(logits_strong, target, reduction="none")
        contrast = F.cross_entropy(closeness(first, second, self.temperature), self._graph(target))
        terms = {
            "labeled": (1.0, F.cross_entropy(logits_x, labels)),
            "unlabeled": (self.unlabeled_weight, (pseudo.mask * losses).mean()),
            "contrast": (self.contrast_weight, contrast),
        }
        mixed = self.mixing(nets.student, x, labels, step, unlabeled=u.views, pseudo=pseudo)
        known = one_hot(labels, target), adjusted.probabilities
        rows = torch.cat((torch.cat((near_x, near_weak)).detach(), torch.cat(known)), dim=1)
        return step_output(terms, mixed, pseudo, {"rows": rows, **news})

    def commit(self, carry: dict[str, Tensor]) -> None:
        """Put the labeled images and the weak views of the step into the memory."""
        rest = dict(carry)
        rows = rest.pop("rows")
        self.queue.push(rows, rows.new_zeros(len(rows), dtype=torch.int64))
        super().commit(rest)

    @torch.no_grad()
    def _smoothed(self, probabilities: Tensor, embeddings: Tensor) -> Tensor:
        """q, (N, C); p itself while the memory is empty."""
        keys, labels = self.queue.keys[0].to(probabilities).tensor_split([self.width], dim=1)
        known = labels.any(dim=1)
        near = torch.softmax(closeness(embeddings, keys, self.temperature, known), dim=1)
        with torch.autocast(near.device.type, enabled=False):
            smoothed = torch.lerp(near.to(labels.dtype) @ labels, probabilities, self.prediction_share)
        return torch.where(known.any(), smoothed, probabilities)

    @torch.no_grad()
    def _graph(self, target: Tensor) -> Tensor:
        """W, (N, N)."""
        with torch.autocast(target.device.type, enabled=False):
            likeness = (target @ target.T).fill_diagonal_(1)
        return F.normalize(torch.where(likeness >= self.graph_threshold, likeness, 0), p=1, dim=1)
