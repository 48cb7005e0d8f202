"""What an add-on for long tails may do in a step of the algorithm that it is added to."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ssl_mix.passes import backbone, frozen_running_statistics, full_precision
from ssl_mix.types import Batch, Nets, PseudoLabels, Samples, Step, StepOutput, Task

News = dict[str, Tensor]


class Sight(NamedTuple):
    """The step that an add-on is in.

    Attributes:
        nets: the whole networks, as the loop has them.
        batch: of the step.
        step: where training stands.
        features: the student's, float32 or better, of labeled images and of weak and strong views of
            unlabeled ones, (B, D) and (U, D) twice, with gradient; empty unless the add-on reads them.
        notes: what the add-on has found in this step so far.
    """

    nets: Nets
    batch: Batch
    step: Step
    features: tuple[Tensor, ...]
    notes: dict[str, Tensor]

    @property
    def labels(self) -> Tensor:
        """Classes of the labeled images, (B,) int64."""
        assert self.batch.labeled.target is not None
        return self.batch.labeled.target

    @property
    def unlabeled(self) -> Samples:
        """The unlabeled half of the batch."""
        assert self.batch.unlabeled is not None
        return self.batch.unlabeled

    @property
    def images(self) -> tuple[Tensor, Tensor, Tensor]:
        """Labeled images, and weak and strong views of unlabeled ones, as far as the algorithm has them."""
        return (
            view_of(self.batch.labeled, "weak"),
            view_of(self.unlabeled, "weak"),
            view_of(self.unlabeled, "strong"),
        )


def view_of(samples: Samples, name: str) -> Tensor:
    """A view by its name, or else the first."""
    return samples.views.get(name, next(iter(samples.views.values())))


def features_of(net: nn.Module, *images: Tensor) -> tuple[Tensor, ...]:
    """Features (N, D) of each part, float32 or better, from one pass, which leaves running batch-norm
    statistics alone."""
    with frozen_running_statistics(net):
        found = full_precision(backbone(net).features(torch.cat(images)))
    return torch.split(found, [len(part) for part in images])


class Addon(nn.Module):
    """Makes an algorithm with pseudo-labels fair to rare classes; does nothing by itself.

    ``Algorithm.__call__`` opens :meth:`within` around the algorithm's own ``forward``, in which
    :class:`ssl_mix.targets.Adjuster` calls :meth:`correct` and :meth:`weigh`, and adds :meth:`terms` to what
    comes out. Buffers change by news alone, as those of an algorithm do.

    Attributes:
        reads_features: whether it reads the student's features, in a pass of its own through the network.
        own_head: whether it trains a classifier of its own over the features. That one is then ``net.head``,
            which answers wherever the network is used; the algorithm trains ``net.base_head``.
        has_margins: whether it changes the logits that a pseudo-label's loss reads.
        chooses: whether it changes how much single pseudo-labels count.
        joins: whether it lets pseudo-labeled images take the places of labeled ones.
        shares: how often labeled images of each class are drawn, (C,); equal where that is not known.
    """

    reads_features = False
    own_head = False
    has_margins = False
    chooses = False
    joins = False
    shares: Tensor

    def __init__(self) -> None:
        super().__init__()
        self._sight: Sight | None = None

    @property
    def sight(self) -> Sight:
        """The step that it is in."""
        assert self._sight is not None, "no step is under way"
        return self._sight

    @property
    def positive_shares(self) -> Tensor:
        """``shares``, (C,), with that of the rarest class that is drawn for classes that never are."""
        drawn = self.shares > 0
        return torch.where(drawn, self.shares, torch.where(drawn, self.shares, torch.inf).amin())

    def extend(self, net: nn.Module, task: Task) -> None:
        """Its buffers, and its head where it has one.

        Raises:
            ValueError: it needs features, and the network has no linear head over its own.
        """
        known = torch.tensor(task.class_shares or (1.0,) * task.num_classes)
        self.register_buffer("shares", known / known.sum())
        if self.own_head:
            net.base_head = copy.deepcopy(backbone(net).head)

    @contextmanager
    def within(self, nets: Nets, batch: Batch, step: Step) -> Iterator[tuple[Nets, Batch]]:
        """The networks and the batch that the algorithm sees in this step."""
        self._sight = Sight(nets, batch, step, (), {})
        if self.reads_features:
            seen = features_of(nets.student, *self._sight.images)
            self._sight = self._sight._replace(features=seen)
        try:
            yield (Nets(*map(ThroughBaseHead, nets)) if self.own_head else nets), batch
        finally:
            self._sight = None

    def correct(self, probabilities: Tensor) -> tuple[Tensor, News]:
        """Pseudo-label distributions of the unlabeled images, (U, C) without gradient, made fair."""
        return probabilities, {}

    def weigh(self, pseudo: PseudoLabels) -> tuple[PseudoLabels, News]:
        """The pseudo-labels with how much each counts."""
        return pseudo, {}

    def with_margins(self, logits: Tensor) -> Tensor:
        """Logits (U, C) of images that learn from their pseudo-labels, as the loss reads them."""
        return logits

    def terms(self) -> tuple[dict[str, Tensor], News]:
        """Terms of the loss by name, each with weight 1."""
        return {}, {}

    def added(self, output: StepOutput) -> StepOutput:
        """What the algorithm returned, with these terms."""
        terms, news = self.terms()
        loss = sum(terms.values(), start=output.loss)
        metrics = {f"loss/{name}": value.detach() for name, value in terms.items()}
        carry = {f"adjust.addon.{name}": value for name, value in news.items()}
        return output._replace(loss=loss, metrics=output.metrics | metrics, carry=output.carry | carry)


class ThroughBaseHead(nn.Module):
    """A view of a network with ``base_head`` for a head; it holds no weights of its own.

    Args:
        net: that has been given a ``base_head``.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net, self.training = net, net.training

    @property
    def head(self) -> nn.Module:
        """The classifier that the algorithm trains."""
        return self.net.get_submodule("base_head")

    def features(self, x: Tensor) -> Tensor:
        """What both heads read, (N, D)."""
        return backbone(self.net).features(x)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, C) of images."""
        logits: Tensor = self.head(self.features(images))
        return logits

    def get_submodule(self, target: str) -> nn.Module:
        """A part of the network by its name there."""
        return self.net.get_submodule(target)

    def __getattr__(self, name: str) -> Any:
        own = vars(self)["_modules"]
        return own[name] if name in own else getattr(own["net"], name)


def head_logits(net: nn.Module, *features: Tensor) -> tuple[Tensor, ...]:
    """Logits of the head of ``net``, that of the add-on, of each part of the features, in full precision."""
    logits = full_precision(backbone(net).head(torch.cat(features)))
    return torch.split(logits, [len(part) for part in features])
