"""The contract between an algorithm and the training loop."""

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ssl_mix.errors import UserError, with_checked_kinds
from ssl_mix.passes import full_precision
from ssl_mix.types import Batch, Nets, PseudoLabels, Samples, Step, StepOutput, Task


class Algorithm(nn.Module):
    """One way to learn from a batch. Its constructor keywords are its hyper-parameters, stored under their
    own names.

    State (thresholds, queues) lives in registered buffers, so checkpoints and exact resume need no extra
    code. Any algorithm is the loss of any loop::

        student = algorithm.extend(net, Task(num_classes, num_unlabeled, image_shape))
        teacher = Teacher(student)
        for number, (x, labels, weak, strong) in enumerate(batches):
            batch = Batch(Samples({"weak": x}, target=labels), Samples({"weak": weak, "strong": strong}))
            output = algorithm(Nets(student, teacher.net), batch, Step(number, total))
            ...  # output.loss.backward(), a step of the optimizer
            algorithm.commit(output.carry)
            teacher.update(number)

    The optimizer takes ``algorithm.parameters()`` too where an algorithm has some, and one with a ``begin``
    wants that called first. ``docs/examples/own_loop.py`` is such a loop in full.

    Attributes:
        labeled_views: views of the labeled images that ``forward`` reads ("plain", "weak", "medium",
            "strong").
        unlabeled_views: views of the unlabeled images; empty for an algorithm that needs none.
        unlabeled_ratio: unlabeled images per labeled one in a batch (mu).
        body_parts: names of modules that ``extend`` adds to the network and that learn at the rate of its
            body, not of new layers.
        needs_body: what the method does that takes more than features and a head ("rotates images"), so that
            it cannot train a head alone; "" for nothing.
        selects: whether a threshold or a weight decides which pseudo-labels count; without one all do.
    """

    labeled_views: tuple[str, ...] = ("weak",)
    unlabeled_views: tuple[str, ...] = ()
    unlabeled_ratio: int = 0
    body_parts: tuple[str, ...] = ()
    needs_body: str = ""
    selects: bool = True

    def __init__(self) -> None:
        super().__init__()

    def __init_subclass__(cls, **options: Any) -> None:
        """Let the constructor refuse keywords of another kind than its hints allow."""
        super().__init_subclass__(**options)
        if "__init__" in vars(cls):
            cls.__init__ = with_checked_kinds(cls.__init__)  # type: ignore[method-assign]

    def extend(self, net: nn.Module, task: Task) -> nn.Module:
        """Add what the method needs to the network, and its buffers to itself, before the teacher is copied.

        Here: what its ``mixing`` terms and what adjusts its pseudo-labels need, if it has any.
        """
        adjust, mixing = getattr(self, "adjust", None), getattr(self, "mixing", None)
        if adjust is not None:
            adjust.extend(net, task)
        return net if mixing is None else mixing.extend(net)

    def begin(self, nets: Nets, labeled: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Learn what the method needs from the labeled images, once, before the first step.

        Args:
            nets: as in ``forward``; the teacher, in evaluation mode, still has the weights of the student.
            labeled: normalized plain images (n, C, H, W) and their labels (n,), chunk by chunk, read as they
                are asked for.
        """

    def __call__(self, nets: Nets, batch: Batch, step: Step) -> StepOutput:
        """:meth:`forward`, within the add-on that rebalances its pseudo-labels, if it has one."""
        addon = getattr(getattr(self, "adjust", None), "addon", None)
        if addon is None:
            output: StepOutput = super().__call__(nets, batch, step)
            return output
        with addon.within(nets, batch, step) as (seen, shown):
            found: StepOutput = addon.added(super().__call__(seen, shown, step))
        return found

    def forward(self, nets: Nets, batch: Batch, step: Step) -> StepOutput:
        """The loss of one batch. Changes no buffer, mutates no input, never waits for the device."""
        raise NotImplementedError

    def open_set(self, net: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (N, C) of images, and how much each looks like one of the classes, (N,): higher means more.

        Here: the negative free energy ``log sum_c exp(logits_c)`` (Liu et al., "Energy-based
        Out-of-distribution Detection", NeurIPS 2020).

        Args:
            net: student or teacher.
            images: (N, ...), normalized.
        """
        logits = full_precision(net(images))
        return logits, logits.logsumexp(dim=1)

    def commit(self, carry: dict[str, Tensor]) -> None:
        """Write the news of a finished step to the buffers, each to that of its name, or hand those of a
        module with a method ``enter_news`` to that: the only place where they change."""
        apart: dict[str, dict[str, Tensor]] = {}
        for name, value in carry.items():
            owner, _, own = name.rpartition(".")
            if hasattr(self.get_submodule(owner), "enter_news"):
                apart.setdefault(owner, {})[own] = value
            else:
                self.get_buffer(name).copy_(value)
        for owner, news in apart.items():
            module: Any = self.get_submodule(owner)
            module.enter_news(news)

    def hyperparameters(self) -> dict[str, Any]:
        """The constructor's keywords and their values."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def extra_repr(self) -> str:
        """The hyper-parameters, for ``print(algorithm)``."""
        return ", ".join(f"{name}={value!r}" for name, value in self.hyperparameters().items())


class Scored(nn.Module):
    """A view of a network that answers with one column more: what :meth:`Algorithm.open_set` says of each
    image; it holds no weights of its own.

    Args:
        algorithm: that trained it.
        net: the network.
    """

    def __init__(self, algorithm: Algorithm, net: nn.Module) -> None:
        super().__init__()
        self.algorithm, self.net = algorithm, net

    def forward(self, images: Tensor) -> Tensor:
        """Logits and scores (N, C + 1) of images."""
        logits, score = self.algorithm.open_set(self.net, images)
        return torch.cat((logits, score[:, None]), dim=1)


def check_batch(algorithm: Algorithm, batch: Batch) -> None:
    """Raise where a batch lacks the labels or a view that the algorithm reads.

    Raises:
        ValueError: it does.
    """
    name = type(algorithm).__name__
    if batch.labeled.target is None:
        raise UserError(f"{name} needs labels, got None: Samples(views, target=labels)")
    for half, wanted in (("labeled", algorithm.labeled_views), ("unlabeled", algorithm.unlabeled_views)):
        samples = getattr(batch, half)
        given = samples.views if samples is not None else {}
        if not given.keys() >= set(wanted):
            raise UserError(
                f"{name} reads the views {', '.join(wanted)} of the {half} images, got "
                f"{', '.join(given) or 'none'}: Samples({{'{wanted[0]}': images, ...}})"
            )


def parts(algorithm: Algorithm, batch: Batch) -> tuple[Tensor, Tensor, Samples]:
    """Weak views of the labeled images (B, C, H, W), their labels (B,), and the unlabeled half of a batch.

    Raises:
        ValueError: the batch lacks what the algorithm reads.
    """
    check_batch(algorithm, batch)
    assert batch.unlabeled is not None and batch.labeled.target is not None
    return batch.labeled.views["weak"], batch.labeled.target, batch.unlabeled


def step_output(
    terms: Mapping[str, tuple[float, Tensor]],
    mixing: tuple[Tensor, dict[str, Tensor]],
    pseudo: PseudoLabels | None,
    carry: dict[str, Tensor] | None = None,
) -> StepOutput:
    """The sum of the weighted terms and of the mixing terms, with each term and the coverage as metrics.

    Args:
        terms: weight and value of each term by name.
        mixing: what ``MixingTerms`` returned.
        pseudo: the pseudo-labels of this step, if any were made.
        carry: news for the algorithm's buffers.
    """
    loss = sum((weight * value for weight, value in terms.values()), start=mixing[0])
    metrics = {f"loss/{name}": value.detach() for name, (_, value) in terms.items()}
    if pseudo is not None:
        metrics["coverage"] = pseudo.mask.mean()
    return StepOutput(loss, {**metrics, **mixing[1]}, carry or {}, pseudo)
