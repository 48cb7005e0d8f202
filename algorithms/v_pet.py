"""V-PET: trained networks vote on the class of every unlabeled image, and one network learns the votes.

Source: Zhang et al., "Revisiting Semi-Supervised Learning in the Era of Foundation Models" (NeurIPS 2025),
section 5: networks that were tuned on the labels in several ways (heads, adapters, norms; several pre-trained
networks) err differently, and their mean is better than any of them. Differs: the shares of the votes are the
target, as the paper writes; the authors' code takes the softmax of their counts, by which four equal votes
among 47 classes make 0.54 of a certain answer. The labeled images keep their labels, where the code has
votes for them too.
"""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssl_mix.algorithm import Algorithm, parts, step_output
from ssl_mix.banks import class_type, known_indices
from ssl_mix.errors import UserError, check_count, check_not_negative
from ssl_mix.mixing.terms import MixingTerms
from ssl_mix.mixing.words import Mix
from ssl_mix.passes import together
from ssl_mix.targets import hard_pseudo_labels
from ssl_mix.types import Batch, Nets, PseudoLabels, Step, StepOutput, Task

NONE = -1  # in the place of a vote


class VPet(Algorithm):
    """Learn the votes of trained runs, from all unlabeled images, whatever the confidence.

    ``loss = CE(p(weak x), y) + unlabeled_weight * mean(CE(p(weak u), q) + CE(p(strong u), q)) / 2``, plus the
    terms of ``mixing``; ``q_c`` is the share of the K teachers by which u is of class c. Images without votes
    add nothing.

    Args:
        teachers: folders of the K runs that vote; ``train`` asks them before the first step. In a loop of
            one's own they are names alone, and :meth:`cast` enters the votes.
        unlabeled_weight: weight of the unlabeled term.
        unlabeled_ratio: unlabeled images per labeled one in a batch.
        mixing: mixing terms added to the loss: decoupled mixup (DM) and the asymmetric strategy (AS).

    Attributes:
        votes: of each unlabeled image by each teacher, (U, K) of :func:`ssl_mix.banks.class_type`; -1: none.

    Raises:
        ValueError: an argument is out of range; in ``begin``: nobody has voted.
    """

    unlabeled_views = ("weak", "strong")
    selects = False
    votes: Tensor

    def __init__(
        self,
        *,
        teachers: tuple[str, ...] = (),
        unlabeled_weight: float = 1.0,
        unlabeled_ratio: int = 1,
        mixing: MixingTerms | Mix = "none",
    ) -> None:
        super().__init__()
        check_not_negative("unlabeled_weight", unlabeled_weight)
        check_count("unlabeled_ratio", unlabeled_ratio)
        self.teachers = tuple(teachers)
        self.unlabeled_weight, self.unlabeled_ratio = unlabeled_weight, unlabeled_ratio
        self.mixing = MixingTerms.of(mixing).check_added()

    def extend(self, net: nn.Module, task: Task) -> nn.Module:
        """Room for the votes."""
        room = (task.num_unlabeled, max(1, len(self.teachers)))
        self.register_buffer("votes", torch.full(room, NONE, dtype=class_type(task.num_classes)))
        self.classes = task.num_classes
        return super().extend(net, task)

    def cast(self, votes: Tensor) -> None:
        """Enter the votes, (U, K) whole numbers: the class of each unlabeled image by each teacher, -1 for
        none.

        Raises:
            ValueError: there are more or fewer, or one is no class.
        """
        if votes.shape != self.votes.shape:
            raise UserError(
                f"expected votes of {tuple(self.votes.shape)}, (images, teachers), got {tuple(votes.shape)}"
            )
        if len(votes) and not NONE <= int(votes.min()) <= int(votes.max()) < self.classes:
            raise UserError(f"votes must be classes from 0 to {self.classes - 1}, or -1 for none")
        self.votes.copy_(votes)

    def begin(self, nets: Nets, labeled: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Refuse to learn nothing."""
        if not (self.votes > NONE).any():
            raise UserError(
                "V-PET learns the votes of trained runs, and nobody has voted: name their folders "
                "(`teachers=RUN RUN`)"
            )

    def forward(self, nets: Nets, batch: Batch, step: Step) -> StepOutput:
        """The loss of one batch."""
        x, labels, u = parts(self, batch)
        target, pseudo = self._answers(known_indices(u.indices), x.dtype)
        logits_x, weak, strong = together(nets.student, x, u.views["weak"], u.views["strong"])
        losses = [F.cross_entropy(logits, target, reduction="none") for logits in (weak, strong)]
        terms = {
            "labeled": (1.0, F.cross_entropy(logits_x, labels)),
            "unlabeled": (self.unlabeled_weight, torch.stack(losses).mean()),
        }
        mixed = self.mixing(nets.student, x, labels, step, unlabeled=u.views, pseudo=pseudo)
        return step_output(terms, mixed, pseudo)

    def _answers(self, indices: Tensor, dtype: torch.dtype) -> tuple[Tensor, PseudoLabels]:
        """Shares of the votes (N, C), nothing where there are none, and the likeliest class."""
        votes = self.votes[indices].long()
        cast = (votes > NONE).to(dtype)
        shares = (F.one_hot(votes.clamp(min=0), self.classes) * cast[..., None]).sum(dim=1)
        shares = shares / cast.sum(dim=1, keepdim=True).clamp(min=1)
        pseudo = hard_pseudo_labels(shares, indices)
        return shares, pseudo._replace(mask=(pseudo.confidence > 0).to(pseudo.mask.dtype))
