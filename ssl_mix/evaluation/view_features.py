"""What a network makes of every view of every image, computed once."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ssl_mix.augment.views import Views
from ssl_mix.datasets import ImageSource
from ssl_mix.passes import backbone, evaluating
from ssl_mix.randomness import stream_generator
from ssl_mix.transfer.looks import Look

BATCH = 32


@torch.inference_mode()
def view_features(
    net: nn.Module,
    images: ImageSource,
    augmentation: Views,
    device: torch.device,
    names: tuple[str, ...] = ("plain",),
    *,
    seed: int = 0,
    look: Look = Look(),  # noqa: B008 (a tuple)
    progress: Callable[[int, int], None] | None = None,
) -> Tensor:
    """Features of views in evaluation mode, (N * V, D) float16 on the CPU, the V views of an image in a row.

    Args:
        net: with ``features`` and a linear ``head``; its mode is restored.
        images: N images.
        augmentation: makes their views.
        device: where the network is.
        names: of the V views.
        seed: of the views, whose draws are functions of it and of the position of an image.
        look: how the network is shown them.
        progress: told images done and images in all.
    """
    body, width, count = backbone(net), backbone(net).head.in_features, len(images)
    table = torch.empty(count, len(names), width, dtype=torch.float16)
    chunks, done = torch.split(torch.arange(count), BATCH), 0
    with evaluating(net):
        for number, batch in enumerate(images.batches(chunks, device)):
            generator = stream_generator(seed, "features", number)
            views = augmentation.views(batch, names, generator, channels_last=True)
            for place, name in enumerate(names):
                table[done : done + len(batch), place] = body.features(look.at(views[name])).half().cpu()
            done += len(batch)
            if progress is not None:
                progress(done, count)
    return table.flatten(0, 1)
