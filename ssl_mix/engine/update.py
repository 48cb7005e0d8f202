"""From the losses of a step to changed weights: in parts, scaled for half precision, clipped."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from ssl_mix.engine.config import TrainConfig
from ssl_mix.engine.distributed import average_gradients
from ssl_mix.engine.execution import half_precision
from ssl_mix.engine.optimizer import set_learning_rate
from ssl_mix.errors import UserError
from ssl_mix.types import Batch, Samples


def parts_of(batch: Batch, count: int) -> Iterator[Batch]:
    """A batch in ``count`` parts of equal size, labeled and unlabeled images each in their order."""
    halves = zip(_split(batch.labeled, count), _split(batch.unlabeled, count), strict=True)
    for labeled, unlabeled in halves:
        assert labeled is not None
        yield Batch(labeled, unlabeled)


def _split(samples: Samples | None, count: int) -> list[Samples | None]:
    if samples is None or count == 1:
        return [samples] * count
    views = {name: torch.chunk(view, count) for name, view in samples.views.items()}
    others = [
        (None,) * count if tensor is None else torch.chunk(tensor, count)
        for tensor in (samples.indices, samples.target)
    ]
    return [
        Samples({name: parts[number] for name, parts in views.items()}, *(part[number] for part in others))
        for number in range(count)
    ]


class Update:
    """Adds up the gradients of the parts of a step and steps the optimizer, without waiting for the device.

    In float16 the loss is multiplied by a scale, so that small gradients are not zero; where a gradient is
    not finite, the step is left out and the scale halved (``torch.amp.GradScaler``).

    Args:
        optimizer: of all weights, fused.
        config: its ``accumulate``, ``clip_grad`` and ``amp``.
        device: where the weights are.

    Raises:
        ValueError: float16 is asked for and a weight is in float16 itself.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, config: TrainConfig, device: torch.device) -> None:
        self.optimizer, self.parts, self.clip = optimizer, config.accumulate, config.clip_grad
        self.weights = [weight for group in optimizer.param_groups for weight in group["params"]]
        scales = half_precision(config, device) is torch.float16
        if scales and any(weight.dtype == torch.float16 for weight in self.weights):
            raise UserError(
                "`amp=fp16` trains weights in float32 and computes in float16, and these are in float16: "
                "call net.float() first"
            )
        self.scaler = torch.amp.GradScaler(device.type, enabled=scales)
        if scales and config.optimizer == "sgd" and config.momentum > 0:
            # PyTorch's fused SGD makes these without values in a first step that is then left out.
            for weight in self.weights:
                optimizer.state[weight]["momentum_buffer"] = torch.zeros_like(weight)
        self.one = torch.ones((), device=device)

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of the loss of one part."""
        scaled = self.scaler.scale(loss if self.parts == 1 else loss / self.parts)
        scaled.backward()  # type: ignore[no-untyped-call]

    def apply(self, rate: float) -> dict[str, Tensor]:
        """Change the weights at that learning rate.

        Returns:
            "grad_norm" before it is clipped, where it is; "loss_scale" and "skipped_steps" (0 or 1) in
            float16.
        """
        average_gradients(self.weights)
        metrics: dict[str, Tensor] = {}
        scale = self.scaler.scale(self.one)
        if self.clip is not None:
            self.scaler.unscale_(self.optimizer)
            metrics["grad_norm"] = nn.utils.clip_grad_norm_(self.weights, self.clip, foreach=True)
        set_learning_rate(self.optimizer, rate)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.scaler.is_enabled():
            skipped = self.scaler.scale(self.one) < scale
            metrics |= {"loss_scale": scale, "skipped_steps": skipped.float()}
            if self.clip is not None:  # of gradients that are not finite there is no length
                metrics["grad_norm"] = torch.where(skipped, 0.0, metrics["grad_norm"])
        return metrics

    def state_dict(self) -> dict[str, Any]:
        """Optimizer and scale."""
        return {"optimizer": self.optimizer.state_dict(), "scaler": self.scaler.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from ``state_dict``."""
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
