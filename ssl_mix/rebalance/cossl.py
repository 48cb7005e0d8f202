"""CoSSL: a classifier that learns apart, on features of the teacher that are made up for rare classes.

Source: Fan, Dai, Kukleva and Schiele, "CoSSL: Co-Learning of Representation and Classifier for Imbalanced
Semi-Supervised Learning" (CVPR 2022), section 3, and YUE-FAN/CoSSL. Differs: the classifier learns from the
first step on, at the rate of the run, where the authors fit it anew after 400 of 500 epochs; classes are made
equal by weights where they draw other batches; pseudo-labels come from its moving average. USB's peer never
lets the classifier make pseudo-labels, and looks up the chance of class 0 for every image, so that features
are never made up where that class is the commonest.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_mix.passes import logits_of
from ssl_mix.rebalance.addon import Addon, News, features_of, head_logits

WARMUP = 0.8  # share of the run after which the classifier makes the pseudo-labels
LEAST = 0.6  # share of a labeled image in features that are made up


class CoSSL(Addon):
    """A classifier on the teacher's features, which in the end makes the pseudo-labels.

    Adds ``mean[w_y CE(a(f), y)]``, ``w_c = 1 / (C pi_c)``, with pi_c how often class c is drawn, and with
    tail-class feature enhancement ``f = l f(x) + (1 - l) f(strong u)``, l uniform in [0.6, 1], for the share
    ``1 - pi_y / max pi`` of the images, else ``f = f(x)``. Features are the teacher's, without gradient: the
    loss trains a alone. From 80 % of the run on pseudo-labels are ``softmax(a(f(weak u)))`` by the teacher.
    """

    own_head = True

    def correct(self, probabilities: Tensor) -> tuple[Tensor, News]:
        """What the classifier says, where the run is far enough."""
        sight = self.sight
        if sight.step.progress < WARMUP:
            return probabilities, {}
        answers = torch.softmax(logits_of(sight.nets.teacher, sight.images[1]), dim=1)
        return answers.to(probabilities), {}

    def terms(self) -> tuple[dict[str, Tensor], News]:
        """The loss of the classifier."""
        sight = self.sight
        images, _, strong = sight.images
        with torch.no_grad():
            of_images, of_strong = features_of(sight.nets.teacher, images, strong)
            enhanced = self._enhanced(of_images, of_strong)
        (logits,) = head_logits(sight.nets.student, enhanced)
        weights = (1 / (len(self.shares) * self.positive_shares)).to(logits)
        costs = weights[sight.labels] * F.cross_entropy(logits, sight.labels, reduction="none")
        return {"cossl_classifier": costs.mean()}, {}

    def _enhanced(self, features: Tensor, others: Tensor) -> Tensor:
        """f, (B, D), of labeled features (B, D) and those of unlabeled images (U, D)."""
        count, draw = len(features), self.sight.step.generator
        order = torch.randperm(len(others), generator=draw)[torch.arange(count) % len(others)]
        chance, lam = torch.rand(2, count, generator=draw).to(features.device, non_blocking=True)
        rare = 1 - (self.shares / self.shares.max())[self.sight.labels]
        share = torch.where(chance < rare, LEAST + (1 - LEAST) * lam, 1.0)[:, None].to(features)
        partners = others.index_select(0, order.to(others.device, non_blocking=True))
        return torch.lerp(partners, features, share)
