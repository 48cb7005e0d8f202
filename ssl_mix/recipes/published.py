"""What the recipes of papers for supervised training share: epochs, batches and rates in steps."""

from typing import Any

from ssl_mix.augment.pools import Variant
from ssl_mix.engine.config import TrainConfig
from ssl_mix.errors import UserError
from ssl_mix.recipes.recipe import Recipe, Request
from ssl_mix.recipes.weights import takes_sizes
from ssl_mix.runs.data_options import DataOptions
from ssl_mix.runs.net_options import NetOptions

IMAGENET, CIFAR = 1_281_167, 50_000  # training images
DYNAMIC = ("puzzlemix", "automix", "samix")  # mixers for which decoupled mixup has other settings


def published(
    request: Request,
    net: str,
    *,
    images: int,
    epochs: int,
    batch: int,
    lr: float,
    scaled: bool = False,
    warmup_epochs: int = 0,
    by_epoch: bool = False,
    drop_path: float = 0.0,
    data: DataOptions | None = None,
    options: dict[str, Any] | None = None,
    **config: Any,
) -> Recipe:
    """A recipe in steps. What the user gives changes what follows from it: with another batch the epochs stay
    as they are, with fewer steps the warm-up and the epochs of the schedule shrink with them.

    Args:
        request: what the user has named.
        net: the network.
        images: in the training part; an epoch has ``images // batch`` steps.
        epochs: of the run.
        batch: images a step.
        lr: learning rate for that batch.
        scaled: the rate is proportional to the batch.
        warmup_epochs: at the beginning.
        by_epoch: the rate changes by the epoch, not by the step.
        drop_path: of the network, left out for another one that has none.
        data: the images.
        options: of the algorithm.
        config: how else to train.

    Raises:
        ValueError: the algorithm is not "supervised", or other epochs than whole ones come out.
    """
    if request.algorithm != "supervised":
        raise UserError(
            f"this recipe is of supervised training, got the algorithm {request.algorithm!r}: train "
            "'supervised', or take the recipe small, paper or recommended"
        )
    size = request.batch_size or batch
    steps = request.steps or epochs * max(1, images // size)
    epoch = max(1, steps // epochs)
    shared: dict[str, Any] = {
        "schedule": "half-cosine",
        "warmup_steps": warmup_epochs * steps // epochs,
        "lr_every": epoch if by_epoch else 1,
        "ema_decay": 0.0,
        "ema_warmup": False,
        "log_every": min(100, epoch),
        "eval_every": epoch,
        "checkpoint_every": epoch,
    }
    rate = lr * size / batch if scaled else lr
    dropping = request.net is None or request.net.startswith(("timm:", "pvt-t"))
    return Recipe(
        data or DataOptions(),
        NetOptions(net=net, drop_path=drop_path if dropping else 0.0),
        TrainConfig(steps=steps, batch_size=size, lr=rate, **{**shared, **config}),
        options or {},
    )


def imagenet(
    request: Request,
    net: str,
    *,
    size: int = 224,
    tested: int | None = None,
    crop: float = 0.875,
    randaugment: Variant | None = None,
    **settings: Any,
) -> Recipe:
    """A recipe for ImageNet: random resized crops of ``size`` pixels, evaluated on the central ``crop``, of
    ``tested`` pixels where these are others; with another size of images in the same proportion."""
    shared: dict[str, Any] = {"crop": "resized", "randaugment": randaugment}
    if takes_sizes(request.data):
        seen = shared["image_size"] = request.image_size or size
        if DataOptions(data=request.data).in_files:  # others are stored at the size that is seen
            shown = seen if tested is None else round(tested * seen / size)
            shared["stored_size"] = None if crop == 1 else round(shown / crop)
            shared["test_image_size"] = None if tested is None else shown
    return published(request, net, images=IMAGENET, data=DataOptions(**shared), **settings)


def decoupled(request: Request) -> dict[str, Any]:
    """Alpha and eta with which decoupled mixup is published, where it is asked for."""
    if request.mix != "dm":
        return {}
    return {"mix_alpha": 2.0, "eta": 1.0} if request.mixer in DYNAMIC else {"mix_alpha": 0.2, "eta": 0.1}


def switched(request: Request, alpha: float | None = None) -> dict[str, Any]:
    """Mixup or CutMix, and the strong view; ``alpha`` of Mixup where it is not 0.8. Without the alpha for
    another mixer, whose own it is not."""
    options: dict[str, Any] = {"mix": "mixup", "mixer": "mixup-cutmix", "view": "strong"}
    if alpha is not None and request.mixer in (None, "mixup-cutmix"):
        options["mix_alpha"] = alpha
    return options
