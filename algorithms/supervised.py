"""Supervised training on the labeled images alone, with any mixer, label policy, loss and regularizer."""

from contextlib import nullcontext
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from ssl_mix.algorithm import Algorithm, check_batch
from ssl_mix.errors import UserError, check_choice, check_not_negative, check_share
from ssl_mix.losses import adjusted_logits, semantic_equivariance
from ssl_mix.mixers import (
    Mixer,
    MixingSchedule,
    Unmixed,
    capture_class_attention,
    transmix_lam,
)
from ssl_mix.mixers.schedule import Shape
from ssl_mix.mixing.criterion import Criterion, LabelPolicy, MixingLoss, check_composition
from ssl_mix.mixing.terms import MixingTerms
from ssl_mix.mixing.words import Mix
from ssl_mix.passes import frozen_running_statistics
from ssl_mix.types import Batch, MixedTarget, Nets, Step, StepOutput, Task


class Supervised(Algorithm):
    """Cross-entropy on the labeled images alone, plain or mixed: the bound that few-label methods are held
    against.

    With ``mix`` "mixup" or "dm" the whole batch is mixed with a permutation of itself by ``mixer``, any of
    them. ``loss + regularizer_weight * sem``, plus what a learned mixer needs to learn itself.

    Args:
        criterion: "ce" (cross-entropy) or "bce" (binary, for each class by itself).
        label_policy: "lumix" perturbs lam by noise and by the network's own scores; "transmix" weighs it by
            the attention of a vision transformer's class token; "plain" keeps it.
        regularizer: "sem" asks that features of a mixed image be the mixed features of its two images.
        regularizer_weight: weight of the regularizer.
        mix_schedule: how the chance of a batch to be mixed goes over the run: "constant"; "linear" or
            "cosine" to 0; or "mwh" (Mixup without Hesitation: always, then every other batch, then ever more
            rarely); see :class:`ssl_mix.mixers.MixingSchedule`.
        mix_prob: that chance at first.
        stop_mixing: share of the steps at the end that see plain images (ES).
        label_smoothing: of the cross-entropy.
        target_threshold: with "bce", a class of a mixed image is wanted wholly where its share is above this,
            and else not at all (0.2 in timm's recipes). Default: as much as its share is.
        logit_adjustment: tau; for the loss, of mixed images too, logits are ``z + tau log pi`` with the class
            shares pi of the labeled draws, see :func:`ssl_mix.losses.adjusted_logits`. 1: balanced softmax.
        view: "weak": flip and crop; "strong": RandAugment and Cutout too.
        mixing: "mixup" or "dm", the mixer, alpha and eta ("as" needs an algorithm that makes pseudo-labels).

    Raises:
        ValueError: an option is unknown, or does not fit the others.
    """

    def __init__(
        self,
        *,
        criterion: Criterion = "ce",
        label_policy: LabelPolicy = "plain",
        regularizer: Literal["none", "sem"] = "none",
        regularizer_weight: float = 1.0,
        mix_schedule: Shape = "constant",
        mix_prob: float = 1.0,
        stop_mixing: float = 0.0,
        label_smoothing: float = 0.0,
        target_threshold: float | None = None,
        logit_adjustment: float = 0.0,
        view: Literal["weak", "strong"] = "weak",
        mixing: MixingTerms | Mix = "none",
    ) -> None:
        super().__init__()
        check_choice("regularizer", regularizer, ("none", "sem"))
        check_choice("view", view, ("weak", "strong"))
        check_not_negative("regularizer_weight", regularizer_weight)
        check_choice("mix_schedule", mix_schedule, get_args(Shape))
        check_share("mix_prob", mix_prob)
        check_share("stop_mixing", stop_mixing)
        check_not_negative("logit_adjustment", logit_adjustment)
        if logit_adjustment and criterion == "bce":
            raise UserError("`logit_adjustment` belongs to `criterion=ce`: bce knows no other classes")
        self.mixing = MixingTerms.of(mixing)
        self.criterion, self.label_policy = criterion, label_policy
        self.regularizer, self.regularizer_weight = regularizer, regularizer_weight
        self.mix_schedule, self.mix_prob, self.stop_mixing = mix_schedule, mix_prob, stop_mixing
        self.label_smoothing, self.target_threshold = label_smoothing, target_threshold
        self.logit_adjustment, self.view, self.labeled_views = logit_adjustment, view, (view,)
        check_composition(
            self.mixing,
            label_policy=label_policy,
            regularizer=regularizer,
            mix_schedule=mix_schedule,
            mix_prob=mix_prob,
            stop_mixing=stop_mixing,
            target_threshold=target_threshold,
        )
        self._loss = MixingLoss(
            self.mixing,
            criterion,
            label_policy,
            label_smoothing=label_smoothing,
            target_threshold=target_threshold,
        )
        self.built_mixer = self._new_mixer()

    def _new_mixer(self) -> Mixer:
        return Unmixed() if self.mixing.mix == "none" else self.mixing.build_mixer()

    def extend(self, net: nn.Module, task: Task) -> nn.Module:
        """Get the mixer ready for the network, and try one tiny batch, so that what does not fit is refused
        at once."""
        if self.logit_adjustment:
            shares = (
                task.class_shares or (1.0,) * task.num_classes
            )  # of a run that is opened: its state has them
            if not all(shares):
                raise UserError("`logit_adjustment` needs labels of every class, and one has none")
            self.register_buffer("class_shares", torch.tensor(shares))
        if self.mixing.mix == "none":
            return net
        self.built_mixer = self._new_mixer()  # a learned one starts afresh in each run
        self.built_mixer.prepare(net, task.image_shape)
        with frozen_running_statistics(net), torch.random.fork_rng(devices=[]):
            images, labels = torch.zeros(2, *task.image_shape), torch.zeros(2, dtype=torch.int64)
            self._mixed(self.built_mixer, Nets(net, net), images, labels, torch.Generator())
        return net

    def forward(self, nets: Nets, batch: Batch, step: Step) -> StepOutput:
        """The loss of one labeled batch, mixed first if so chosen."""
        check_batch(self, batch)
        assert batch.labeled.target is not None
        x, labels = batch.labeled.views[self.view], batch.labeled.target
        mixer = MixingSchedule(self.built_mixer, self.mix_schedule, self.mix_prob, self.stop_mixing)(step)
        if isinstance(mixer, Unmixed):
            terms = {"loss/labeled": self._loss.plain(self._adjusted(nets.student(x)), labels)}
        else:
            terms = self._mixed(mixer, nets, x, labels, step.generator)
        weights = {"loss/sem": self.regularizer_weight}
        total = sum((weights.get(name, 1.0) * value for name, value in terms.items()), start=x.new_zeros(()))
        return StepOutput(total, {name: value.detach() for name, value in terms.items()}, {})

    def _adjusted(self, logits: Tensor) -> Tensor:
        tau = self.logit_adjustment
        return adjusted_logits(logits, self.get_buffer("class_shares"), tau=tau) if tau else logits

    def _mixed(
        self, mixer: Mixer, nets: Nets, x: Tensor, labels: Tensor, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """The unweighted terms of a mixed batch."""
        net: Any = nets.student
        if mixer.hidden or self.label_policy == "transmix":
            net = getattr(net, "_orig_mod", net)  # a compiled network would ignore the hooks
        # A mixer that looks at images looks through the steadier network; one that acts inside needs the
        # student.
        eyes = nets.teacher if "net" in mixer.needs and not mixer.hidden else net
        clean = net.features(x) if self.regularizer == "sem" else None
        attending = capture_class_attention(net) if self.label_policy == "transmix" else nullcontext()
        with mixer.applied(eyes, x, labels, generator=generator) as mixed, attending as attention:
            features = net(mixed.images) if clean is None else net.features(mixed.images)
        logits = features if clean is None else net.head(features)
        target = mixed.target
        if attention is not None:
            # check_composition refuses hidden layers and joint mixers
            assert mixed.mask is not None and isinstance(target, MixedTarget)
            target = target._replace(lam=transmix_lam(attention(), mixed.mask, target.lam))
        terms = {"loss/labeled": self._loss(self._adjusted(logits), target, generator)}
        if clean is not None:
            assert isinstance(mixed.target, MixedTarget)
            partner = clean.index_select(0, mixed.partner)
            terms["loss/sem"] = semantic_equivariance(features, clean, partner, mixed.target.lam)
        if mixed.loss is not None:  # AutoMix and SAMix teach the network plain images too
            plain = self._loss.plain(self._adjusted(net(x) if clean is None else net.head(clean)), labels)
            terms |= {"loss/mixer": mixed.loss, "loss/plain": plain}
        return terms
