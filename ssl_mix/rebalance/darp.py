"""DARP: the pseudo-labels of all images, as close to what is predicted as the class sizes allow.

Source: Kim et al., "Distribution Aligning Refinery of Pseudo-label for Imbalanced Semi-supervised Learning"
(NeurIPS 2020), equations 2 to 5, Algorithm 1, and bbuing9/DARP, with its settings. Differs: the class sizes
of the unlabeled part are those of the labeled one, as they are drawn, and are not estimated; Newton's method
works on logarithms, for a fixed number of times, where the authors (and USB's peer) solve by SciPy's secant
method on the CPU, which can fail to converge; the batch of a step in which all is refined is among the
refined too (with ``accumulate`` its first part). The memory is two tensors (images, classes).
"""

import math

import torch
from torch import Tensor, nn

from ssl_mix.banks import known_indices, last_positions
from ssl_mix.rebalance.addon import Addon, News
from ssl_mix.types import Task

WARMUP = 0.4  # share of the run after which pseudo-labels are refined
EVERY = 10  # steps between two refinements
KEPT = 2.0  # of an expected class size: entries of the class that are not noise
ROUNDS, NEWTON = 10, 10
TINY = 1e-6


class DARP(Addon):
    """Predictions of all unlabeled images, refined together to the class sizes that are expected.

    ``min_X sum_n KL(X_n || A_n) / H(A_n)`` over class distributions X_n whose sum over the images is q, the
    expected class sizes, see :func:`refined`. A are the last predictions for each image, of which an entry
    that is not among the ``2 q_c`` largest of its class is first taken for noise, see :func:`denoised`. From
    40 % of the run on every 10 steps; between, an image has what it was refined to last.

    Attributes:
        predicted: last predictions, (images, C); 1 / C at first.
        refined: what they were refined to last, (images, C).
    """

    predicted: Tensor
    refined: Tensor

    def extend(self, net: nn.Module, task: Task) -> None:
        """A distribution for each unlabeled image, twice."""
        super().extend(net, task)
        for name in ("predicted", "refined"):
            self.register_buffer(
                name, torch.full((task.num_unlabeled, task.num_classes), 1 / task.num_classes)
            )

    def correct(self, probabilities: Tensor) -> tuple[Tensor, News]:
        """The refined distributions of the images of the step."""
        slots, step = known_indices(self.sight.unlabeled.indices), self.sight.step
        newest = probabilities[last_positions(slots)].to(self.predicted)
        news = {"slots": slots, "newest": newest}
        if step.number < EVERY * math.ceil(WARMUP * step.total / EVERY):
            return probabilities, news
        if step.number % EVERY == 0 and step.part == 0:
            sizes = self.shares * len(self.predicted)
            now = self.predicted.index_put((slots,), newest)
            news["refined"] = refined(denoised(now, sizes), sizes)
        return news.get("refined", self.refined)[slots].to(probabilities), news

    @torch.no_grad()
    def enter_news(self, news: News) -> None:
        """Enter the predictions of a step, and what all were refined to."""
        self.predicted[news["slots"]] = news["newest"]
        if "refined" in news:
            self.refined.copy_(news["refined"])


def denoised(predicted: Tensor, sizes: Tensor) -> Tensor:
    """``A_nc q_c / k_c + 1e-6`` made to sum to 1, with 0 for A_nc that is not among the ``floor(2 q_c)``
    largest of its class, whose sum is k_c.

    Args:
        predicted: A, (U, C).
        sizes: q, expected number of images of each class, (C,).
    """
    order = predicted.argsort(dim=0, descending=True, stable=True)
    ranks = torch.empty_like(order).scatter_(
        0, order, torch.arange(len(order), device=order.device)[:, None].expand_as(order)
    )
    largest = predicted * (ranks < (KEPT * sizes).floor())
    scaled = largest * ((sizes + TINY) / (largest.sum(dim=0) + TINY)) + TINY
    return scaled / scaled.sum(dim=1, keepdim=True)


def refined(given: Tensor, sizes: Tensor) -> Tensor:
    """``X_nc`` in proportion to ``A_nc exp(-v_c H(A_n))``, rows of which sum to 1 and columns to q_c.

    By turns the rows are made to sum to 1, and each v_c is found by Newton's method on the logarithm of its
    column's sum, :data:`ROUNDS` times :data:`NEWTON`.

    Args:
        given: A, (U, C), each above 0.
        sizes: q, (C,), that sum to U.
    """
    logs = given.log()
    entropy = -(given * (given + TINY).log()).sum(dim=1, keepdim=True)
    wanted, prices = sizes.clamp(min=TINY).log(), torch.zeros_like(sizes)
    for _ in range(ROUNDS):
        fixed = torch.log_softmax(logs - prices * entropy, dim=1) + prices * entropy
        for _ in range(NEWTON):
            moved = fixed - prices * entropy
            slope = (torch.softmax(moved, dim=0) * entropy).sum(dim=0)
            change = (moved.logsumexp(dim=0) - wanted) / slope.clamp(min=TINY)
            prices = prices + change.clamp(-10, 10)
    return torch.softmax(logs - prices * entropy, dim=1)
