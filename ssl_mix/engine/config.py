"""How a run is trained, whatever the algorithm."""

from dataclasses import dataclass
from typing import Literal, get_args, get_type_hints

from ssl_mix.engine.timm_optimizers import check_optimizer
from ssl_mix.errors import (
    UserError,
    check_choice,
    check_count,
    check_kinds,
    check_not_negative,
    check_positive,
    check_seed,
    check_share,
    counts_of,
)

Schedule = Literal["cosine", "half-cosine", "step", "constant"]
Amp = Literal["auto", "bf16", "fp16", "off"]


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Length, optimizer, teacher and execution of a run.

    Args:
        steps: optimizer steps.
        batch_size: labeled images per step. May exceed the labeled set, which is then repeated within the
            batch.
        accumulate: equal parts of the batch that go through the network one after the other, in as much less
            memory; their gradients add up to one optimizer step, that of the whole batch. What looks at
            several images looks at those of a part: batch norm, mixing, and what an algorithm learns of a
            batch (thresholds, queues), once a part.
        clip_grad: largest length of the gradient of all weights together; a longer one is shortened to it.
            Default: none.
        balanced: draw the labeled images of all classes equally often, however many each has.
        reject: share of the unlabeled images of each step that is left out, in [0, 1): those that look least
            like one of the classes, by their energy or by what the algorithm has for it.
        class_weights: weight of each class, in the order of the names: its labeled images are drawn that much
            more often, which weighs their losses so on the average. With "balanced" leave them out.
        repeated_augmentation: times that a labeled image comes in a step, each time in a view of its own; a
            step then has that many times fewer different images.
        optimizer: "sgd" or "adamw", PyTorch's own; or any of timm's by its name there: "lamb", "lion",
            "nadamw", "muon".
        lr: learning rate.
        layer_decay: learning rate of each layer over that of the next one, in (0, 1], up to the head: layers
            as timm counts them, blocks mostly; of other networks, stages.
        head_lr_factor: learning rate of the head and of what the algorithm adds, over that of the other
            layers; 10 is usual for pre-trained networks.
        momentum: share of the last update that SGD keeps.
        nesterov: let SGD look ahead by that share.
        weight_decay: on convolution and linear weights; biases and norms have none, nor what timm exempts.
        schedule: "cosine" is the semi-supervised benchmarks' ``lr cos(7 pi t / 16 T)``; "half-cosine" goes
            from ``lr`` to ``final_lr``; "step" takes a tenth at each of ``milestones``; "constant" keeps
            ``lr``.
        milestones: steps at which "step" takes a tenth; default: half of the steps and three quarters.
        final_lr: where "half-cosine" ends.
        warmup_steps: steps in which the learning rate rises evenly from ``warmup_lr`` to ``lr``; the schedule
            goes on where it is by then.
        warmup_lr: where that begins.
        lr_every: steps for which the learning rate stays what it is: 1, or those of an epoch for a schedule
            by the epoch.
        ema_decay: decay of the teacher's moving average.
        ema_warmup: let the decay of update t be min(ema_decay, (1 + t) / (10 + t)), for runs under about
            10,000 steps.
        ema_buffers: the teacher copies the student's batch-norm statistics, or averages them.
        start_share: share of the weights that the run starts from in those that are evaluated and kept, the
            teacher's: 0.5 takes the middle between a pre-trained network and what training made of it.
        seed: of the weights, the order, the augmentation and the mixing, each a random stream of its own; a
            whole number from 0 to 2^63 - 1, as every seed here.
        device: "auto" takes a GPU where there is one; else "cpu", "cuda", "cuda:1".
        amp: "bf16" computes in bfloat16 where autocast allows it; "fp16" in float16, with a loss scale, for
            GPUs without bfloat16; "auto" does the first that a GPU can, and on a CPU the first where that has
            instructions for it and a run measured, before its first step, that they are faster.
        channels_last: memory layout that convolutions prefer.
        compile: torch.compile the network; falls back with a warning where that cannot work.
        deterministic: use cuDNN's deterministic algorithms. Off lets it choose the fastest.
        threads: CPU threads of PyTorch; default: its own choice.
        log_every: steps between two records.
        eval_every: steps between two evaluations of the teacher; default: ten in a run.
        test_scored: the test part is evaluated "always", or "once", at the end, so that nothing can be chosen
            by it.
        checkpoint_every: steps between two checkpoints; default: ten in a run, but at least every 1000 steps.

    Raises:
        ValueError: an option is out of range.
    """

    steps: int = 1000
    batch_size: int = 64
    accumulate: int = 1
    clip_grad: float | None = None
    balanced: bool = False
    reject: float = 0.0
    class_weights: tuple[float, ...] = ()
    repeated_augmentation: int = 1
    optimizer: str = "sgd"
    lr: float = 0.03
    layer_decay: float = 1.0
    head_lr_factor: float = 1.0
    momentum: float = 0.9
    nesterov: bool = True
    weight_decay: float = 5e-4
    schedule: Schedule = "cosine"
    milestones: tuple[int, ...] = ()
    final_lr: float = 0.0
    warmup_steps: int = 0
    warmup_lr: float = 1e-6
    lr_every: int = 1
    ema_decay: float = 0.999
    ema_warmup: bool = True
    ema_buffers: Literal["copy", "average"] = "copy"
    start_share: float = 0.0
    seed: int = 0
    device: str = "auto"
    amp: Amp = "auto"
    channels_last: bool = True
    compile: bool = False
    deterministic: bool = True
    threads: int | None = None
    log_every: int = 20
    eval_every: int | None = None
    test_scored: Literal["always", "once"] = "always"
    checkpoint_every: int | None = None

    def __post_init__(self) -> None:
        worded = ("optimizer", "schedule", "amp", "ema_buffers", "test_scored", "device")  # told below
        hints = get_type_hints(TrainConfig)
        check_kinds({n: v for n, v in vars(self).items() if n not in worded}, hints)
        check_seed("seed", self.seed)
        check_positive("lr", self.lr)
        check_positive("head_lr_factor", self.head_lr_factor)
        for name in ("steps", "batch_size", "accumulate", "repeated_augmentation", "lr_every", "log_every"):
            check_count(name, getattr(self, name))
        if self.batch_size % self.accumulate:
            raise UserError(
                f"accumulate ({self.accumulate}) must divide batch_size ({self.batch_size}) into equal parts"
            )
        if self.clip_grad is not None:
            check_positive("clip_grad", self.clip_grad)
        for name in ("threads", "eval_every", "checkpoint_every"):
            if getattr(self, name) is not None:
                check_count(name, getattr(self, name))
        check_optimizer(self.optimizer)
        if not 0 < self.layer_decay <= 1:
            raise UserError(f"layer_decay must lie in (0, 1], got {self.layer_decay}: 1 is none")
        check_choice("schedule", self.schedule, get_args(Schedule))
        check_choice("amp", self.amp, get_args(Amp))
        check_choice("test_scored", self.test_scored, ("always", "once"))
        for name in ("milestones", "class_weights"):
            object.__setattr__(self, name, tuple(getattr(self, name)))  # JSON knows lists alone
        for weight in self.class_weights:
            check_positive("class_weights", weight)
        if not 0 <= self.reject < 1:
            raise UserError(f"reject must lie in [0, 1), got {self.reject}: something must be left")
        if self.balanced and self.class_weights:
            raise UserError(
                "`balanced` draws all classes alike: leave one of them out, `balanced` or `class_weights`"
            )
        for milestone in self.milestones:
            check_count("milestones", milestone)
        check_choice("ema_buffers", self.ema_buffers, ("copy", "average"))
        for name in ("momentum", "ema_decay", "start_share"):
            check_share(name, getattr(self, name))
        for name in ("weight_decay", "final_lr", "warmup_steps", "warmup_lr"):
            check_not_negative(name, getattr(self, name))
        if self.final_lr and self.schedule != "half-cosine":
            raise UserError(f"final_lr belongs to schedule 'half-cosine', not to {self.schedule!r}")
        if self.milestones and self.schedule != "step":
            raise UserError(
                f"milestones belong to schedule 'step', not to {self.schedule!r}: those of a recipe are "
                "taken away by `milestones` with nothing in it"
            )
        if self.milestones and min(self.milestones) >= self.steps:
            raise UserError(
                f"milestones {self.milestones} lie beyond {counts_of(self.steps, 'step')}: name earlier ones "
                "(`milestones`)"
            )
        if self.warmup_steps >= self.steps:
            raise UserError(f"warmup_steps ({self.warmup_steps}) must be fewer than steps ({self.steps})")

    def evaluates_at(self, step: int) -> bool:
        """Whether the teacher is evaluated after ``step`` steps."""
        return step == self.steps or step % (self.eval_every or max(1, self.steps // 10)) == 0

    def saves_at(self, step: int) -> bool:
        """Whether a checkpoint is due after ``step`` steps."""
        return (
            step == self.steps or step % (self.checkpoint_every or min(1000, max(1, self.steps // 10))) == 0
        )

    def logs_at(self, step: int) -> bool:
        """Whether a record is due after ``step`` steps."""
        return step % self.log_every == 0 or self.evaluates_at(step)
