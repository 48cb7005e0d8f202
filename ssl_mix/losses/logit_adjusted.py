"""Losses for classes of which some have many more labels than others: logits that carry the class frequencies
while a network learns, so that it does without them when it is asked.

Source: Menon et al., "Long-tail learning via logit adjustment" (ICLR 2021), equation 10; Ren et al.,
"Balanced Meta-Softmax for Long-Tailed Visual Recognition" (NeurIPS 2020), equation 3, which is the same with
tau = 1.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssl_mix.errors import UserError, check_not_negative
from ssl_mix.losses._common import Reduction, check_labels, check_meta, check_options, check_some, readable
from ssl_mix.losses._pairs import IGNORED, full_rows, labels_error
from ssl_mix.losses.decoupled_loss import DecoupledMixupLoss
from ssl_mix.losses.dense import PlainTarget
from ssl_mix.types import MixedTarget


def adjusted_logits(logits: Tensor, class_counts: Tensor, *, tau: float = 1.0) -> Tensor:
    """``z_c + tau log pi_c``, ``pi_c = n_c / sum n``: logits for a loss, never for a prediction.

    Whatever loss they go to, decoupled mixup too, then learns what tells the classes apart and leaves their
    frequencies to the prior.

    Args:
        logits: z, (N, C) float, or (N, C, d1, ...); half precision is computed in float32.
        class_counts: n_c, labeled images of each class, or shares of them, (C,), each above 0.
        tau: strength; 0 leaves the logits as they are.

    Raises:
        ValueError: a shape or a dtype is wrong, or a count is not above 0.

    Examples:
        >>> adjusted_logits(torch.zeros(1, 2), torch.tensor([3, 1])).exp()
        tensor([[0.7500, 0.2500]])
    """
    logits = full_rows(logits)
    check_not_negative("tau", tau)
    counts = _checked(class_counts, logits)
    shift = tau * (counts / counts.sum()).log()
    return logits + shift.view(-1, *[1] * (logits.ndim - 2))


def _checked(counts: Tensor, logits: Tensor) -> Tensor:
    """The counts in the dtype and on the device of the logits."""
    if not isinstance(counts, Tensor) or counts.shape != logits.shape[1:2] or counts.is_complex():
        got = tuple(counts.shape) if isinstance(counts, Tensor) else type(counts).__name__
        raise UserError(f"class_counts must be a tensor ({logits.shape[1]},), one per class, got {got}")
    check_meta("class_counts", counts, logits)
    if readable(counts) and not bool(((counts > 0) & (counts < torch.inf)).all()):
        raise UserError("class_counts must all be above 0 and finite: leave out classes without labels")
    return counts.to(logits.device, logits.dtype)


def logit_adjusted_cross_entropy(
    logits: Tensor,
    labels: Tensor,
    class_counts: Tensor,
    *,
    tau: float = 1.0,
    reduction: Reduction = "mean",
) -> Tensor:
    """``-log softmax(z + tau log pi)_y``: cross-entropy of :func:`adjusted_logits`.

    With tau = 1 the network that makes it least makes the fewest errors on the average over the classes
    (Menon et al., theorem 1).

    Args:
        logits: z, (N, C) float, or (N, C, d1, ...) with labels (N, d1, ...).
        labels: y, (N,) int64 in [0, C); -100 counts nothing, as in PyTorch.
        class_counts: see :func:`adjusted_logits`.
        tau: see there.
        reduction: "mean", "sum", or "none" for the (N,) losses.

    Raises:
        ValueError: a shape, a dtype, a label, a count or an option is wrong.

    Examples:
        >>> logits, labels = torch.zeros(2, 2), torch.tensor([0, 1])
        >>> logit_adjusted_cross_entropy(logits, labels, torch.tensor([3, 1]), reduction="none")
        tensor([0.2877, 1.3863])
    """
    check_options(reduction=reduction)
    adjusted = adjusted_logits(logits, class_counts, tau=tau)
    check_labels(adjusted, labels=labels)
    if reduction == "mean":
        check_some(labels)
    try:
        return F.cross_entropy(adjusted, labels, reduction=reduction)
    except IndexError as error:
        raise labels_error(labels, adjusted.shape[1], IGNORED) or error from error


def balanced_softmax_cross_entropy(
    logits: Tensor, labels: Tensor, class_counts: Tensor, *, reduction: Reduction = "mean"
) -> Tensor:
    """``-log [n_y exp z_y / sum_c n_c exp z_c]``: :func:`logit_adjusted_cross_entropy` with tau = 1.

    Args:
        logits: z, (N, C) float, or (N, C, d1, ...) with labels (N, d1, ...).
        labels: y, (N,) int64 in [0, C).
        class_counts: n_c, (C,), each above 0.
        reduction: "mean", "sum", or "none" for the (N,) losses.

    Raises:
        ValueError: a shape, a dtype, a label, a count or an option is wrong.

    Examples:
        >>> balanced_softmax_cross_entropy(torch.zeros(1, 2), torch.tensor([0]), torch.tensor([3, 1]))
        tensor(0.2877)
    """
    return logit_adjusted_cross_entropy(logits, labels, class_counts, reduction=reduction)


class LogitAdjustedLoss(nn.Module):
    """Any criterion of logits, on :func:`adjusted_logits`: ``criterion(z + tau log pi, target)``.

    Args:
        class_counts: n_c, (C,), each above 0.
        tau: strength.
        criterion: called with the adjusted logits and the target; default: cross-entropy of labels, dense or
            mixed targets. ``DecoupledMixupLoss()`` gives decoupled mixup with a prior.

    Raises:
        ValueError: a count or tau is wrong, or what the criterion refuses.

    Examples:
        >>> LogitAdjustedLoss(torch.tensor([3, 1]))(torch.zeros(2, 2), torch.tensor([0, 1]))
        tensor(0.8370)
        >>> mixed = (torch.tensor([0]), torch.tensor([1]), torch.tensor([0.7]))
        >>> criterion = LogitAdjustedLoss(torch.tensor([2, 1, 1]), criterion=DecoupledMixupLoss(eta=0.1))
        >>> criterion(torch.zeros(1, 3), mixed)  # 0.7 log 2 + 0.3 log 4 + 0.1 (log 1.5 + log 2)
        tensor(1.0110)
    """

    class_counts: Tensor

    def __init__(self, class_counts: Tensor, tau: float = 1.0, criterion: nn.Module | None = None) -> None:
        super().__init__()
        check_not_negative("tau", tau)
        if not isinstance(class_counts, Tensor):
            raise UserError(
                f"class_counts must be a tensor (C,), one per class, got {type(class_counts).__name__}: pass "
                "torch.as_tensor(class_counts)"
            )
        self.register_buffer("class_counts", class_counts)
        self.tau = tau
        self.criterion = DecoupledMixupLoss(0.0) if criterion is None else criterion

    def forward(self, logits: Tensor, target: MixedTarget | PlainTarget | Tensor) -> Tensor:
        """The criterion's loss for logits (N, C) and a target that it takes."""
        loss: Tensor = self.criterion(adjusted_logits(logits, self.class_counts, tau=self.tau), target)
        return loss

    def extra_repr(self) -> str:
        """The options, for ``print(loss)``."""
        return f"tau={self.tau}"


class BalancedSoftmaxLoss(LogitAdjustedLoss):
    """:class:`LogitAdjustedLoss` with tau = 1: see :func:`balanced_softmax_cross_entropy`.

    Args:
        class_counts: n_c, (C,), each above 0.

    Examples:
        >>> BalancedSoftmaxLoss(torch.tensor([3, 1]))(torch.zeros(2, 2), torch.tensor([0, 1]))
        tensor(0.8370)
    """

    def __init__(self, class_counts: Tensor) -> None:
        super().__init__(class_counts)
