"""Learning from masks, as an algorithm of the one training loop."""

import torch.nn.functional as F
from torch import Tensor, nn

from ssl_mix.algorithm import Algorithm
from ssl_mix.evaluation.segmentation import VOID
from ssl_mix.passes import backbone
from ssl_mix.segmentation.encoder import dense_features, fit_to
from ssl_mix.segmentation.head import HeadKind, SegmentationHead, enlarged
from ssl_mix.types import Batch, Nets, Step, StepOutput, Task


class Segmentation(Algorithm):
    """Cross-entropy of the class of each pixel, over the pixels that are not void.

    A segmentation head joins the network as ``net.segmenter``; the network's own classifier stays as it is
    and learns nothing.

    Args:
        head: "linear" or "mask-transformer", see :class:`ssl_mix.segmentation.SegmentationHead`.
    """

    labeled_views = ("image", "mask")
    needs_body = "labels pixels"

    def __init__(self, *, head: HeadKind = "mask-transformer") -> None:
        super().__init__()
        self.head = head

    def extend(self, net: nn.Module, task: Task) -> nn.Module:
        """Fit the network to the size of the images and add the head."""
        width = fit_to(net, task.image_shape[1])
        backbone(net).head.requires_grad_(False)
        net.segmenter = SegmentationHead(self.head, width, task.num_classes)
        return net

    def forward(self, nets: Nets, batch: Batch, step: Step) -> StepOutput:
        """The loss of one batch, whose views are "image" (N, 3, H, W) and "mask" (N, H, W) int64."""
        del step
        images, masks = (batch.labeled.views[name] for name in self.labeled_views)
        logits = enlarged(grid_logits(nets.student, images), (masks.shape[1], masks.shape[2]))
        known = masks != VOID
        count = known.sum().clamp(min=1)
        loss = F.cross_entropy(logits, masks, ignore_index=VOID, reduction="sum") / count
        right = ((logits.argmax(dim=1) == masks) & known).sum() / count
        return StepOutput(loss, {"loss/labeled": loss.detach(), "pixel_accuracy": right}, {})


def grid_logits(net: nn.Module, images: Tensor) -> Tensor:
    """Logits (N, C, h, w) of an extended network for normalized images (N, 3, H, W)."""
    logits: Tensor = net.segmenter(dense_features(net, images))  # type: ignore[operator]
    return logits
