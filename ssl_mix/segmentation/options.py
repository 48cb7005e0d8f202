"""What defines a transfer to segmentation."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from ssl_mix.engine.config import TrainConfig
from ssl_mix.errors import UserError, check_choice, check_count, check_kinds, check_seed, plain_hints
from ssl_mix.evaluation.segmentation import VOID
from ssl_mix.runs.net_options import NetOptions
from ssl_mix.segmentation.head import HeadKind

SIZE = 224  # pixels, where neither the options nor the weights tell
WARMUP = 20  # one step of so many


@dataclass(frozen=True, kw_only=True)
class SegmentationOptions:
    """Images with masks, a network, and how to train it.

    Args:
        images: folder of images.
        masks: folder of masks of the same names: PNG files with a palette, or gray ones, whose samples are
            the numbers of classes; 255 is void. With the layouts of Pascal VOC (SegmentationClass) and Pascal
            Context (SegmentationClassContext), the lists train.txt and val.txt below ImageSets are used.
        net: "timm:NAME", a ViT above all; default: that of the weights.
        pretrained: weights to start from: "none" (random), "default" (timm's, downloaded), a file, or the
            folder of a run.
        head: "linear" or "mask-transformer".
        num_classes: the masks hold numbers below it; default: the largest number, and one more.
        held_out: share of the images to score on, where no lists say.
        image_size: side in pixels of what the network sees, of images of any shape; default: that which the
            weights were trained at, else 224.
        steps: optimizer steps.
        batch_size: images per step.
        lr: learning rate of AdamW for the network; a new head has ten times as much.
        seed: of the head, the order, the crops and what is held out.
        device: "auto" takes a GPU where there is one; else "cpu", "cuda", "cuda:1".

    Raises:
        ValueError: an option is out of range.
    """

    images: str
    masks: str
    net: str | None = None
    pretrained: str | None = None
    head: HeadKind = "mask-transformer"
    num_classes: int | None = None
    held_out: float = 0.2
    image_size: int | None = None
    steps: int = 1000
    batch_size: int = 16
    lr: float = 1e-4
    seed: int = 0
    device: str = "auto"

    def __post_init__(self) -> None:
        check_kinds(vars(self), plain_hints(SegmentationOptions))
        check_seed("seed", self.seed)
        check_choice("head", self.head, get_args(HeadKind))
        for name in ("num_classes", "image_size"):
            if getattr(self, name) is not None:
                check_count(name, getattr(self, name))
        if self.num_classes is not None and not 2 <= self.num_classes <= VOID:
            raise UserError(f"num_classes must lie in [2, {VOID}], got {self.num_classes}")
        if not 0 < self.held_out < 1:
            raise UserError(f"held_out must lie between 0 and 1, got {self.held_out}")

    def network(self) -> NetOptions:
        """The network and its weights.

        Raises:
            ValueError: none is named, or the weights are not there.
        """
        if self.net is None and self.pretrained in (None, "none", "default"):
            raise UserError("no network is named: give `from=RUN`, or `net=timm:NAME` with `pretrained`")
        return NetOptions(net=self.net, pretrained=self.pretrained).resolved()

    def config(self, threads: int) -> TrainConfig:
        """How to train: AdamW, half a cosine after a short warm-up.

        Raises:
            ValueError: an option is out of range.
        """
        return TrainConfig(
            steps=self.steps,
            batch_size=self.batch_size,
            optimizer="adamw",
            lr=self.lr,
            head_lr_factor=10,
            weight_decay=0.01,
            schedule="half-cosine",
            warmup_steps=self.steps // WARMUP,
            seed=self.seed,
            device=self.device,
            threads=threads,
        )

    def absolute(self) -> "SegmentationOptions":
        """The same with absolute paths, so that a run can be resumed from anywhere."""
        net = self.network()
        return dataclasses.replace(
            self,
            images=str(Path(self.images).absolute()),
            masks=str(Path(self.masks).absolute()),
            net=net.net,
            pretrained=net.pretrained,
        )
