"""CReST: from round to round pseudo-labels join the labels, those of rare classes sooner.

Source: Wei, Sohn, Mellina, Yuille and Yang, "CReST: A Class-Rebalancing Self-Training Framework for
Imbalanced Semi-Supervised Learning" (CVPR 2021), sections 3.2 to 3.4, and google-research/crest with its
settings for CIFAR-10. Differs: the rounds ("generations") are equal parts of one run, in which the network
and the learning rate go on, where the authors train anew; pseudo-labels are those that images had last in
training, where they pass all images through the teacher; labeled images that give way to pseudo-labeled
ones do so to those of the same batch. USB's peer takes class numbers for ranks, so that it means what is
meant only where the commonest class is the first.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ssl_mix.banks import NEVER, class_type, known_indices, last_positions
from ssl_mix.errors import UserError
from ssl_mix.rebalance.addon import Addon, News, view_of
from ssl_mix.types import Batch, Nets, Samples, Step, StepOutput, Task

ROUNDS = 6
ALPHA = 1 / 3
LEAST = 0.5  # temperature of the last round
DECAY = 0.999  # of the average of the predictions


class CReST(Addon):
    """Labeled batches as if drawn from the labeled images and from the pseudo-labeled ones of this round.

    At the end of each of 6 equal rounds, of the unlabeled images that were last taken for class c the most
    confident ``floor(mu_c n_c)`` out of n_c become labeled, as long as the next round lasts; ``mu_c = (N_s /
    N_1)^(1/3)``, N_1 how often the commonest class is drawn, and N_s how often the class is drawn that is as
    common among the rare ones as c is rare. Each labeled image of a step gives way to one of those S images,
    another one of the same batch each, with the chance ``S / (L + S)``, where there are L labeled images.

    Attributes:
        label: class that each unlabeled image was last taken for, (U,); -1 before the first time.
        doubt: 1 less the confidence of that, (U,) float16.
        joined: class of the images that are labeled in this round, (U,); -1 for others.
    """

    joins = True
    label: Tensor
    doubt: Tensor
    joined: Tensor

    def extend(self, net: nn.Module, task: Task) -> None:
        """Room for the pseudo-labels.

        Raises:
            ValueError: nobody says how many labeled images there are.
        """
        super().extend(net, task)
        if not task.num_labeled:
            raise UserError("CReST needs the number of labeled images: Task(..., num_labeled=L)")
        self.num_labeled = task.num_labeled
        for name in ("label", "joined"):
            known = torch.full((task.num_unlabeled,), NEVER, dtype=class_type(task.num_classes))
            self.register_buffer(name, known)
        self.register_buffer("doubt", torch.ones(task.num_unlabeled, dtype=torch.float16))

    @contextmanager
    def within(self, nets: Nets, batch: Batch, step: Step) -> Iterator[tuple[Nets, Batch]]:
        """The networks, and a batch with pseudo-labeled images among the labeled ones."""
        with super().within(nets, batch, step):
            notes, before = self.sight.notes, round_of(step.number - 1, step.total)
            notes["joined"] = self.joined
            if step.part == 0 and round_of(step.number, step.total) > before:
                notes["joined"] = joining(self.label, self.doubt, rates(self.positive_shares))
            yield nets, batch._replace(labeled=self._grown())

    def correct(self, probabilities: Tensor) -> tuple[Tensor, News]:
        """The distributions as they are; their classes are remembered."""
        slots = known_indices(self.sight.unlabeled.indices)
        confidence, label = (part[last_positions(slots)] for part in probabilities.max(dim=1))
        doubt = (1 - confidence).to(self.doubt.dtype)
        return probabilities, {"slots": slots, "label": label.to(self.label.dtype), "doubt": doubt}

    def added(self, output: StepOutput) -> StepOutput:
        """What the algorithm returned, with the share of pseudo-labels among the labels, "joined"."""
        notes = self.sight.notes
        carry = output.carry | {"adjust.addon.joined": notes["joined"]}
        return output._replace(metrics=output.metrics | {"joined": notes["share"]}, carry=carry)

    @torch.no_grad()
    def enter_news(self, news: News) -> None:
        """Enter the pseudo-labels of a step, and which of them are labels now."""
        self.joined.copy_(news["joined"])
        if "slots" in news:
            self.label[news["slots"]], self.doubt[news["slots"]] = news["label"], news["doubt"]

    def _grown(self) -> Samples:
        """The labeled half of the step with pseudo-labeled images in the places of some."""
        labeled, unlabeled, notes = self.sight.batch.labeled, self.sight.unlabeled, self.sight.notes
        pseudo = notes["joined"][known_indices(unlabeled.indices)].long()
        given, partner = self._places(pseudo >= 0)
        notes["share"] = given.float().mean()
        views = {
            name: torch.where(given.view(-1, *[1] * (view.ndim - 1)), view_of(unlabeled, name)[partner], view)
            for name, view in labeled.views.items()
        }
        return labeled._replace(views=views, target=torch.where(given, pseudo[partner], self.sight.labels))

    def _places(self, members: Tensor) -> tuple[Tensor, Tensor]:
        """Which labeled images give way, (B,) bool, and to which of the unlabeled ones (U,) of whom some are
        ``members``, (B,) int64."""
        draw, device = self.sight.step.generator, members.device
        chance = torch.rand(len(self.sight.labels), generator=draw).to(device, non_blocking=True)
        order = torch.randperm(len(members), generator=draw).to(device, non_blocking=True)
        order = torch.where(members, order, -1).argsort(descending=True)
        here, size = members.sum(), (self.sight.notes["joined"] >= 0).sum()
        given = (chance < size / (self.num_labeled + size)) & (here > 0)
        return given, order[(given.cumsum(dim=0) - 1) % here.clamp(min=1)]


class CReSTPlus(CReST):
    """CReST with pseudo-labels aligned to class shares that are less unequal from round to round.

    ``q_c`` in proportion to ``p_c pi_c^t / (a_c sum_j pi_j^t)``, made to sum to 1: pi_c is how often class c
    is drawn, a the moving average of the predictions p, and ``t = 1 - 0.5 g / 5`` in round g, from 0 on. What
    joins the labels is chosen by p.

    Attributes:
        mean_prediction: a, (C,); 1 / C at first.
    """

    mean_prediction: Tensor

    def extend(self, net: nn.Module, task: Task) -> None:
        """The moving average too."""
        super().extend(net, task)
        self.register_buffer("mean_prediction", torch.full((task.num_classes,), 1 / task.num_classes))

    def correct(self, probabilities: Tensor) -> tuple[Tensor, News]:
        """The aligned distributions."""
        _, news = super().correct(probabilities)
        step = self.sight.step
        warm = (step.number + 1) / (step.number + 2)
        mean = torch.lerp(probabilities.mean(dim=0), self.mean_prediction.to(probabilities), min(DECAY, warm))
        temperature = 1 - (1 - LEAST) * round_of(step.number, step.total) / (ROUNDS - 1)
        aligned = probabilities * self.positive_shares.to(probabilities) ** temperature / mean
        return aligned / aligned.sum(dim=1, keepdim=True), {**news, "mean_prediction": mean}

    def enter_news(self, news: News) -> None:
        """Enter the average too."""
        super().enter_news(news)
        if "mean_prediction" in news:
            self.mean_prediction.copy_(news["mean_prediction"])


def round_of(number: int, total: int) -> int:
    """The round that step ``number`` out of ``total`` is in, from 0 on; -1 before the first."""
    return number * ROUNDS // total


def rates(shares: Tensor) -> Tensor:
    """``mu_c``, (C,), of how often classes are drawn, (C,), each above 0."""
    ranked, order = shares.sort(descending=True, stable=True)
    return torch.empty_like(shares).scatter_(0, order, (ranked.flip(0) / ranked[0]) ** ALPHA)


def joining(label: Tensor, doubt: Tensor, rates: Tensor) -> Tensor:
    """The most confident ``floor(mu_c n_c)`` out of n_c images of each class: their classes, -1 for others.

    Args:
        label: classes of the images, (U,), -1 for none.
        doubt: how unsure these are, (U,).
        rates: mu, (C,).
    """
    by_doubt = doubt.argsort(stable=True)
    order = by_doubt[label[by_doubt].argsort(stable=True)]  # by class, in each by doubt
    group = label.long() + 1
    counts = torch.zeros(len(rates) + 1, dtype=torch.int64, device=label.device)
    counts.scatter_add_(0, group, torch.ones_like(group))
    taken = torch.cat((counts.new_zeros(1), (counts[1:] * rates).floor().long()))
    place = torch.empty_like(group).scatter_(0, order, torch.arange(len(label), device=label.device))
    place = place - (counts.cumsum(dim=0) - counts)[group]
    return torch.where(place < taken[group], label, NEVER)
