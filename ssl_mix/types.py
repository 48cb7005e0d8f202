"""The few things that flow: mixed labels, batches, networks, one step and what it returns."""

from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssl_mix.errors import UserError


class MixedTarget(NamedTuple):
    """Labels of mixed images: ``lam * onehot(labels_a) + (1 - lam) * onehot(labels_b)``.

    Labels that do not exclude each other are (N, C) float in [0, 1], in the place of their one-hot forms.

    Attributes:
        labels_a: classes of the base samples, (N,) int64; or multi-label, (N, C) float.
        labels_b: classes of their partners, the same.
        lam: label weight of ``labels_a``, (N,) float in [0, 1].
    """

    labels_a: Tensor
    labels_b: Tensor
    lam: Tensor

    @classmethod
    def unmixed(cls, labels: Tensor) -> "MixedTarget":
        """The labels of plain images: both classes are ``labels`` (N,), lam is 1."""
        return cls(labels, labels, torch.ones(len(labels), device=labels.device))

    def to(self, device: torch.device | str) -> "MixedTarget":
        """The same on another device."""
        return MixedTarget(*(tensor.to(device, non_blocking=True) for tensor in self))

    def dense(self, num_classes: int) -> Tensor:
        """The same labels as one number per class, (N, num_classes), in the dtype of ``lam``."""
        if self.labels_a.is_floating_point():
            return self._multi_label(num_classes)
        lam = self.lam[:, None]
        return lam * F.one_hot(self.labels_a, num_classes) + (1 - lam) * F.one_hot(self.labels_b, num_classes)

    def _multi_label(self, num_classes: int) -> Tensor:
        if self.labels_a.ndim < 2 or self.labels_a.shape[1] != num_classes:
            raise UserError(
                f"labels that are float must be (N, {num_classes}), one number per class, got "
                f"{tuple(self.labels_a.shape)}"
            )
        lam = torch.as_tensor(self.lam, device=self.labels_a.device)
        lam = lam.view(-1, *[1] * (self.labels_a.ndim - 1)) if lam.ndim else lam
        return lam * self.labels_a + (1 - lam) * self.labels_b


class JointTarget(NamedTuple):
    """Labels of images that are made of any number of images: ``sum over k of shares_k * onehot(labels_k)``.

    Attributes:
        labels: classes of the images that may be shown, (N, K) int64; a place that is not used repeats a
            class that is shown. Multi-label: (N, K, C) float.
        shares: their label weights, (N, K) float in [0, 1], each row summing to 1.
    """

    labels: Tensor
    shares: Tensor

    def dense(self, num_classes: int) -> Tensor:
        """The same labels as one number per class, (N, num_classes)."""
        if self.labels.is_floating_point():
            return torch.einsum("nk,nkc->nc", self.shares.to(self.labels), self.labels)
        empty = self.shares.new_zeros(len(self.labels), num_classes)
        return empty.scatter_add(1, self.labels, self.shares)


class Samples(NamedTuple):
    """One half of a batch.

    Attributes:
        views: augmented images by view name ("weak", "strong"), each (N, C, H, W) float, normalized.
        indices: position of each sample in its part of the data, (N,) int64; None where nothing remembers
            single images.
        target: class labels (N,) int64, or None where an algorithm must not see them.
    """

    views: dict[str, Tensor]
    indices: Tensor | None = None
    target: Tensor | None = None


class Batch(NamedTuple):
    """What one training step sees."""

    labeled: Samples
    unlabeled: Samples | None = None


class Backbone(Protocol):
    """A network whose features and classifier can be had apart: ``net(x)`` equals
    ``net.head(net.features(x))``.

    Networks of ``ssl_mix.models`` are such, any other becomes one by ``ssl_mix.models.adapt(net)``;
    ``ssl_mix.passes.backbone(net)`` looks at an ``nn.Module`` as one.
    """

    @property
    def head(self) -> nn.Linear:
        """The classifier, D features to C logits."""

    def features(self, x: Tensor, /) -> Tensor:
        """What the classifier reads, (N, D), of images (N, C, H, W)."""

    def __call__(self, x: Tensor, /) -> Tensor:
        """Logits (N, C) of images (N, C, H, W)."""


class Nets(NamedTuple):
    """The network that is trained and its exponential moving average."""

    student: nn.Module
    teacher: nn.Module


class Step(NamedTuple):
    """Where training stands, and the source of the random draws of this step.

    Attributes:
        number: steps already taken, 0 in the first call.
        total: steps of the whole run.
        generator: CPU generator for mixing. The trainer seeds one from (run seed, ``number``), so that a step
            can be replayed alone; the default is the one that ``torch.manual_seed`` seeds.
        part: which part of its batch this is, from 0 on, where a step takes several (``accumulate``).
    """

    number: int
    total: int
    generator: torch.Generator = torch.default_generator
    part: int = 0

    @property
    def progress(self) -> float:
        """Share of the run that is done, 0 in the first step."""
        return self.number / self.total


class Task(NamedTuple):
    """Sizes that an algorithm may need for its buffers.

    Attributes:
        num_classes: C.
        num_unlabeled: images in the unlabeled part.
        image_shape: (C, H, W) of the images.
        num_labeled: images in the labeled part, for what remembers each of them.
        class_shares: how often labeled images of each class are drawn, C shares; () where that is not known.
    """

    num_classes: int
    num_unlabeled: int
    image_shape: tuple[int, int, int]
    num_labeled: int = 0
    class_shares: tuple[float, ...] = ()


class PseudoLabels(NamedTuple):
    """Pseudo-labels of one step, for the bank.

    Attributes:
        indices: positions in the unlabeled part, (N,) int64, or None where the batch did not tell.
        labels: predicted classes, (N,) int64.
        confidence: largest class probability, (N,) float32.
        mask: 1 where the pseudo-label is used, else 0, (N,) float32.
    """

    indices: Tensor | None
    labels: Tensor
    confidence: Tensor
    mask: Tensor


class StepOutput(NamedTuple):
    """What ``Algorithm.forward`` returns.

    Attributes:
        loss: 0-d, with gradient.
        metrics: 0-d detached tensors by name, left on the device; a loss term's name begins with ``loss/``.
        carry: detached news for the algorithm's own buffers, handed to ``Algorithm.commit``.
        pseudo: pseudo-labels of this step for the pseudo-label bank, or None.
    """

    loss: Tensor
    metrics: dict[str, Tensor]
    carry: dict[str, Tensor]
    pseudo: PseudoLabels | None = None
