"""The one training loop."""

import copy
import math
import time
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from ssl_mix.algorithm import Algorithm
from ssl_mix.banks import PseudoLabelBank
from ssl_mix.datasets import DataSet, ImageSet, Split
from ssl_mix.engine.checks import check_kinds, check_sizes, output_of, warn_of_weights
from ssl_mix.engine.class_watch import ClassWatch, bank_scores, class_remedies
from ssl_mix.engine.config import TrainConfig
from ssl_mix.engine.distributed import check_processes
from ssl_mix.engine.execution import autocast, own_state, resolve_device, runnable
from ssl_mix.engine.feed import Feed, RawBatch
from ssl_mix.engine.guard import rejection
from ssl_mix.engine.meter import DivergedError, Meter
from ssl_mix.engine.optimizer import body_of, build_optimizer, learning_rate
from ssl_mix.engine.pace import Pace
from ssl_mix.engine.probing import learn
from ssl_mix.engine.scores import scores_on_test
from ssl_mix.engine.teacher import teacher_of
from ssl_mix.engine.update import Update, parts_of
from ssl_mix.engine.watch import Watch, remedies, watched
from ssl_mix.evaluation import accuracy, predict_probabilities
from ssl_mix.randomness import stream_generator
from ssl_mix.ranks import highest, rows_shared, take_over
from ssl_mix.types import Nets, Step


class Trainer:
    """Trains a network with an algorithm on a labeled and an unlabeled part of a data set.

    ``for record in trainer.fit(): print(record)`` is a whole run. A step draws indices, gathers uint8 images
    on the device, augments them, calls ``algorithm.forward``, steps the optimizer, moves the teacher and
    enters the pseudo-labels into the bank. Outside of records nothing waits for the device. All draws are
    functions of (seed, step), so ``load_state_dict`` resumes to the bit. What the whole process shares
    (default generators, threads, cuDNN's settings) is after each call as it was before.

    Args:
        algorithm: what the loss of a batch is.
        net: the student, as it is initialized.
        data: the images.
        split: which of them are labeled, unlabeled and held out.
        config: how to train.

    Raises:
        ValueError: an argument is of another kind, as tensors for ``data``; no labeled image, or an algorithm
            that needs unlabeled images gets none; the network does not fit, see
            :func:`ssl_mix.engine.checks.check_network`, or not the algorithm.

    Attributes:
        step: steps taken.
        stop: set it to end ``fit`` cleanly after the current step.
        bank: the pseudo-label bank.
        teacher: the moving average of the student, which is what gets evaluated.
        best: "step", "validation_accuracy" and "teacher" (its state) of the best evaluation on the held-out
            part so far, the first of equals; None without one.
    """

    def __init__(
        self,
        algorithm: Algorithm,
        net: nn.Module,
        data: DataSet,
        split: Split,
        config: TrainConfig | None = None,
    ) -> None:
        settled, config = config is not None, config or TrainConfig()
        self.config = config
        check_kinds(algorithm=algorithm, net=net, data=data, split=split, config=config)
        check_processes(config)
        if not settled:
            warn_of_weights(net)
        self.device = resolve_device(config.device)
        self.data, self.split, self.algorithm = data, split, algorithm
        self.feed = feed = Feed(algorithm, data, split, config, self.device)
        task = feed.task
        with own_state(config, self.device, "trial"):
            check_sizes(net, data.augmentation, feed.shape, task.num_classes, config, feed.dtype)
        layout = torch.channels_last if config.channels_last else torch.contiguous_format
        body = body_of(net)  # before the algorithm adds to it
        with own_state(config, self.device, "extension"):  # what an algorithm adds has weights of its own
            student = algorithm.extend(net, task).to(self.device).to(memory_format=layout)
        self.algorithm.to(self.device)
        body += [p for name in algorithm.body_parts for p in student.get_submodule(name).parameters()]
        self.teacher = teacher_of(student, config)
        self.student = student.train()
        self.optimizer = build_optimizer(nn.ModuleList([student, algorithm]), config, body)
        self.update = Update(self.optimizer, config, self.device)
        self.nets = Nets(runnable(student, config, feed.shape, self.device, feed.dtype), self.teacher.net)
        take_over(self.algorithm, *self.nets, self.teacher.start)
        self.bank = PseudoLabelBank(task.num_unlabeled, task.num_classes).near(self.device)
        self.meter, self.pace = Meter(), Pace(feed.images_per_step, 0)
        self.watch, self.class_watch = Watch(config.steps), ClassWatch(config.steps)
        self.step, self.stop, self.seconds = 0, False, 0.0
        self.best: dict[str, Any] | None = None

    def fit(self) -> Iterator[dict[str, float]]:
        """Train to the last step, yielding a record every ``log_every`` steps and after each evaluation.

        A record holds the means since the last one of the loss, its terms and the algorithm's metrics; step,
        learning rate, seconds, images per second and the share of the time spent waiting for images; and,
        where due, the accuracies of the teacher.

        Warns:
            UserWarning: the loss rises, or labeled images are forgotten: ``ssl_mix.engine.watch.Watch``; one
                class swallows the others: ``ssl_mix.engine.class_watch.ClassWatch``.

        Raises:
            DivergedError: a loss term became NaN or infinite.
        """
        return (record for record in self.run() if record is not None)

    def run(self) -> Iterator[dict[str, float] | None]:
        """``fit`` step by step, for what is done between records, such as saving: after each step its record,
        or None where none is due."""
        self._watch()
        began, batches = time.perf_counter() - self.seconds, self.feed.batches(self.step)
        self.pace.restart(self.step)
        while self.step < self.config.steps:
            self.train_step(self.pace.next_of(batches))
            record = None
            if self.config.logs_at(self.step):
                record = self.record() | self.pace.rates(self.step)
                self._watch()
                if self.config.evaluates_at(self.step):
                    record |= self.evaluate()
                record["seconds"] = time.perf_counter() - began
            self.seconds = time.perf_counter() - began
            yield record
            if record is not None:
                self.pace.restart(self.step)
            if highest(self.stop):
                self.stop = False
                return

    def train_step(self, raw: RawBatch) -> None:
        """One step of training, without a host synchronization."""
        if self.step == 0:
            with own_state(self.config, self.device, "begin"), rows_shared(*self.nets):
                self.algorithm.begin(self.nets, self.feed.plain_labeled())
        with own_state(self.config, self.device, "network", self.step):
            self._train_step(raw)
        self.step += 1

    def _train_step(self, raw: RawBatch) -> None:
        config, step = self.config, self.step
        batch = self.feed.augment(raw, step)
        if self.feed.policy is not None:
            learn(self.feed.policy, self.data, self.teacher.net, raw.labeled.images, batch, config, step)
        place = Step(step, config.steps, stream_generator(config.seed, "mixing", step))
        self.optimizer.zero_grad(set_to_none=True)
        for number, part in enumerate(parts_of(batch, config.accumulate)):
            place = place._replace(part=number)
            with autocast(config, self.device), rows_shared(*self.nets):
                output = output_of(self.algorithm, self.nets, part, place, config.reject)
            self.update.backward(output.loss)
            self.algorithm.commit(output.carry)
            metrics = {"loss": output.loss, **output.metrics}
            if output.pseudo is not None:
                metrics["pseudo_labels_changed"] = self.bank.update(output.pseudo, step)
            self.meter.add(metrics, step)
        found = self.update.apply(learning_rate(config, step))
        if found:
            self.meter.add(found, step)
        self.teacher.update(step)
        self.watch.add(metrics, step)  # of the last part

    def _watch(self) -> None:
        """Warn, once in a run, of what goes wrong in its beginning."""
        found = self.watch.look(self.step, self._labeled_accuracy, len(watched(self.split.labeled)))
        if found:
            warnings.warn(f"{found}: {remedies(self.algorithm, self.student)}", stacklevel=3)

    def _watch_classes(self) -> None:
        labels = self.data.train.labels[torch.tensor(self.split.labeled)]
        prior = torch.bincount(labels, minlength=len(self.data.classes))
        found = self.class_watch.look(self.step, self.bank, prior, self.data.classes)
        if found:
            warnings.warn(f"{found}: {class_remedies(self.algorithm)}", stacklevel=4)

    def _labeled_accuracy(self) -> float:
        """Of the student, on plain labeled images."""
        index = torch.tensor(watched(self.split.labeled))
        with own_state(self.config, self.device, "watch", self.step), rows_shared(self.student):
            images, views = self.data.train.images, self.data.augmentation
            answers = predict_probabilities(self.student, images, views, self.device, indices=index)
        return accuracy(answers, self.data.train.labels[index])

    def record(self) -> dict[str, float]:
        """Means since the last record, which starts anew; the one place where the host waits for the
        device."""
        self.check_finite()
        return {"step": self.step, **self.meter.read(), "lr": learning_rate(self.config, self.step - 1)}

    def glance(self) -> dict[str, float]:
        """Step, means and speed since the last record, for a look in between; nothing starts anew."""
        return {"step": self.step, **self.meter.means(), **self.pace.rates(self.step)}

    def check_finite(self) -> None:
        """Raise DivergedError if a loss term or a weight became NaN or infinite; a state that passes is fit
        to be saved."""
        self.meter.check()
        weights = [*self.student.parameters(), *self.algorithm.parameters()]
        norms = torch.stack(torch._foreach_norm([weight.detach() for weight in weights]))
        if not norms.isfinite().all():
            raise DivergedError(
                f"the weights became NaN or infinite in step {self.step - 1}: lower the learning rate (`lr`)"
            )

    def evaluate(self) -> dict[str, float]:
        """Accuracy of the teacher on the validation and test parts, and the state of the bank."""
        with own_state(self.config, self.device, "evaluation", self.step), rows_shared(self.teacher.net):
            return self._evaluate()

    def _evaluate(self) -> dict[str, float]:
        found = rejection(self.algorithm, self.teacher.net, self.data, self.feed.unlabeled, self.device)
        if self.split.validation:
            found["validation_accuracy"] = self._validate()
        if self.config.test_scored == "always" or self._is_over():
            found |= scores_on_test(self.teacher.net, self.data, self.device)
        if self.best is not None and self._is_over():
            best = copy.deepcopy(self.teacher.net)
            best.load_state_dict(self.best["teacher"])
            scores = scores_on_test(best, self.data, self.device)
            found |= {f"{name}_best": value for name, value in scores.items()}
        if self.algorithm.unlabeled_views:
            truth = self.data.train.labels[self.feed.unlabeled].to(self.device)
            found |= bank_scores(self.bank, truth, self.data.classes)
            found["bank_agreement"] = self._agreement()
            self._watch_classes()
        return {name: value for name, value in found.items() if not math.isnan(value)}

    def _is_over(self) -> bool:
        return self.step == self.config.steps

    def _validate(self) -> float:
        """Accuracy on the held-out part; the best weights so far are kept."""
        held_out = torch.tensor(self.split.validation)
        found = accuracy(self._answers(self.data.train, held_out), self.data.train.labels[held_out])
        if self.best is None or found > self.best["validation_accuracy"]:
            state = {name: value.clone() for name, value in self.teacher.net.state_dict().items()}
            self.best = {"step": self.step, "validation_accuracy": found, "teacher": state}
        return found

    def _answers(self, part: ImageSet, indices: Tensor) -> Tensor:
        """Class probabilities by the teacher, (N, C) on the CPU."""
        return predict_probabilities(
            self.teacher.net, part.images, self.data.augmentation, self.device, indices=indices
        )

    def _agreement(self) -> float:
        """Share of unlabeled images, of 1000 spread evenly, that teacher and student last took for the same
        class."""
        stride = -(-len(self.feed.unlabeled) // 1000)
        slots = torch.arange(0, len(self.feed.unlabeled), stride)
        classes = self._answers(self.data.train, self.feed.unlabeled[slots]).argmax(dim=1).to(self.device)
        return self.bank.agreement(classes, slots.to(self.device)).item()

    def state_dict(self) -> dict[str, Any]:
        """Everything that ``load_state_dict`` needs to go on as if nothing had happened."""
        return {
            "step": self.step,
            "seconds": self.seconds,
            "student": self.student.state_dict(),
            "teacher": self.teacher.net.state_dict(),
            "start": self.teacher.start.state_dict(),
            **self.update.state_dict(),
            "algorithm": self.algorithm.state_dict(),
            "learned": self.feed.learned.state_dict(),
            "bank": self.bank.state_dict(),
            "meter": self.meter.state_dict(),
            "watch": self.watch.state_dict(),
            "class_watch": self.class_watch.over,
            "best": self.best,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore ``state_dict`` of a trainer that was made with the same arguments."""
        for part, module in (
            ("student", self.student),
            ("teacher", self.teacher.net),
            ("start", self.teacher.start),
            ("algorithm", self.algorithm),
            ("learned", self.feed.learned),
            ("bank", self.bank),
        ):
            module.load_state_dict(state[part])
        self.update.load_state_dict(state)
        self.meter.load_state_dict(state["meter"], self.device)
        self.watch.load_state_dict(state["watch"], self.device)
        self.class_watch.over = state["class_watch"]
        self.step, self.seconds, self.best = state["step"], state["seconds"], state.get("best")
