"""SimMatchV2: images are nodes with a label, joined by their likeness; two views of one agree in both.

Source: Zheng et al., "SimMatchV2: Semi-Supervised Learning with Graph Consistency" (ICCV 2023), and its code
(ImageNet), which has the numbers that the arguments name. Differs: no normalization layer between features
and classifier, as networks are taken as they are; one strong view where the code has several crops; the
memory of labeled images begins with all of them and takes in those of a step before it is used, and that of
unlabeled ones begins with uniform labels, where the code begins with random keys and no labels; the alignment
takes the step in; weights and threshold are by default those of the semi-supervised benchmarks.

Published accuracy (ImageNet, ResNet-50, 300 epochs): 71.9 % with 1 % of the labels, 76.2 % with 10 %.
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
from ssl_mix.queues import ClassQueue, LabeledBank
from ssl_mix.targets import UNIFORM, Adjuster, Targets, hard_pseudo_labels, predicted
from ssl_mix.transfer.heads import add_projectors, embedded, encoded
from ssl_mix.transfer.neighbors import edge_losses, spread_labels
from ssl_mix.types import Batch, Nets, Step, StepOutput, Task


class SimMatchV2(Algorithm):
    """FixMatch with a teacher, pseudo-labels that labeled neighbors correct, and agreement in the likeness to
    other images.

    p is the teacher's aligned prediction on the weak view, e its likeness ``softmax_k(z m_k / T)`` to the
    unlabeled images m_k in the memory, e' that of the student's strong view. ``loss = CE(p(x), y) +
    unlabeled_weight * mean(1[max p >= threshold] * CE(p(strong u), q)) + edge_weight * CE(e, e') +
    node_edge_weight * CE(p, sum_k e'_k p_k)``, plus the terms of ``mixing``. q is p after labels have spread
    in the graph of the image and its nearest labeled images: the first row of ``(1 - a) (1 - a A)^-1 Y``,
    where A has the softmax of the likenesses of different nodes in each row, and Y their labels, p for the
    image. The teacher normalizes by the batch.

    Args:
        threshold: confidence that a prediction must reach, in [0, 1]; the code: 0.7.
        neighbors: labeled images in the graph of an image, at most.
        spread: a, how far labels spread, in [0, 1); 0 leaves the prediction.
        temperature: T, of all likenesses.
        memory: K, unlabeled images in the memory; the code's is 256 batches.
        width: of the embeddings.
        unlabeled_weight: lambda_nn, of the pseudo-labels; the code: 10.
        edge_weight: lambda_ee, of the likenesses; the code: 10 with 1 % of the labels, 5 with 10 %.
        node_edge_weight: lambda_ne, of the labels that the likenesses lead to; the code: the same.
        unlabeled_ratio: mu, unlabeled images per labeled one in a batch; the code: 5.
        mixing: mixing terms added to the loss: decoupled mixup (DM) and the asymmetric strategy (AS).
        targets: what makes pseudo-labels less biased before labels spread.

    Attributes:
        bank: the last key and the class of each labeled image.
        queue: the newest m_k and p_k side by side, (1, K, width + C).

    Raises:
        ValueError: an argument is out of range; in ``extend``: the network has no linear head, or the number
            of labeled images is not known.
    """

    unlabeled_views = ("weak", "strong")

    def __init__(
        self,
        *,
        threshold: float = 0.95,
        neighbors: int = 128,
        spread: float = 0.1,
        temperature: float = 0.1,
        memory: int = 16384,
        width: int = 128,
        unlabeled_weight: float = 1.0,
        edge_weight: float = 1.0,
        node_edge_weight: float = 1.0,
        unlabeled_ratio: int = 7,
        mixing: MixingTerms | Mix = "none",
        targets: Targets = UNIFORM,
    ) -> None:
        super().__init__()
        check_share("threshold", threshold)
        check_share("spread", spread)
        check_positive("1 - spread", 1 - spread)
        check_positive("temperature", temperature)
        check_count("neighbors", neighbors)
        check_count("memory", memory)
        check_count("width", width)
        check_not_negative("unlabeled_weight", unlabeled_weight)
        check_not_negative("edge_weight", edge_weight)
        check_not_negative("node_edge_weight", node_edge_weight)
        check_count("unlabeled_ratio", unlabeled_ratio)
        self.threshold, self.neighbors, self.spread = threshold, neighbors, spread
        self.temperature, self.memory, self.width = temperature, memory, width
        self.unlabeled_weight, self.edge_weight = unlabeled_weight, edge_weight
        self.node_edge_weight, self.unlabeled_ratio = node_edge_weight, unlabeled_ratio
        self.mixing = MixingTerms.of(mixing).check_added()
        self.targets = targets.check("SimMatchV2", remembers=True)
        self.adjust = Adjuster(targets)

    def extend(self, net: nn.Module, task: Task) -> nn.Module:
        """A projector, a slot for each labeled image, and the memory of unlabeled ones."""
        add_projectors(net, self.width)
        self.bank = LabeledBank(task.num_labeled, task.num_classes, self.width)
        self.queue = ClassQueue(1, self.memory, self.width + task.num_classes)
        keys, labels = self.queue.keys.tensor_split([self.width], dim=2)
        keys.copy_(F.normalize(keys, dim=2))
        labels.fill_(1 / task.num_classes)
        return super().extend(net, task)

    def begin(self, nets: Nets, labeled: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Fill the memory of labeled images."""
        self.bank.fill(*embedded(nets.teacher, labeled))

    def forward(self, nets: Nets, batch: Batch, step: Step) -> StepOutput:
        """The loss of one batch."""
        x, labels, u = parts(self, batch)
        weak, strong = (u.views[name] for name in self.unlabeled_views)
        logits, embeddings = encoded(nets.student, torch.cat((x, strong)))
        with torch.no_grad(), batch_statistics(nets.teacher):
            answers, keys = encoded(nets.teacher, torch.cat((x, weak)))
        slots = known_indices(batch.labeled.indices, "labeled")
        news = {"keys": keys[: len(x)], "classes": labels, "slots": slots}

        adjusted = self.adjust(predicted(answers[len(x) :]), nets, (x, labels), weak, step)
        p, keys = adjusted.probabilities, keys[len(x) :]
        target = spread_labels(
            p, keys, *self.bank.with_batch(*news.values()), self.neighbors, self.spread, self.temperature
        )
        sure = hard_pseudo_labels(p, u.indices, self.threshold)._replace(labels=target.argmax(dim=1))
        pseudo, others = self.adjust.select(sure, adjusted)
        losses = F.cross_entropy(logits[len(x) :], target, reduction="none")
        memory, known = self.queue.keys[0].to(keys).tensor_split([self.width], dim=1)
        edge, node_edge = edge_losses(embeddings[len(x) :], keys, p, memory, known, self.temperature)
        terms = {
            "labeled": (1.0, F.cross_entropy(logits[: len(x)], labels)),
            "unlabeled": (self.unlabeled_weight, (pseudo.mask * losses).mean()),
            "edge": (self.edge_weight, edge),
            "node_edge": (self.node_edge_weight, node_edge),
        }
        mixed = self.mixing(nets.student, x, labels, step, unlabeled=u.views, pseudo=pseudo)
        rows = {"rows": torch.cat((keys, p.to(keys.dtype)), dim=1)}
        return step_output(terms, mixed, pseudo, news | rows | others)

    def commit(self, carry: dict[str, Tensor]) -> None:
        """Enter the labeled and the unlabeled images of the step into the memories."""
        rest = self.bank.enter(carry)
        rows = rest.pop("rows")
        self.queue.push(rows, rows.new_zeros(len(rows), dtype=torch.int64))
        super().commit(rest)
