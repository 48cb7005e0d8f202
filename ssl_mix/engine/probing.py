"""What a run needs whose strong views learn from its labeled images: CTAugment."""

import torch
import torch.nn.functional as F
from torch import nn

from ssl_mix.algorithm import Algorithm
from ssl_mix.augment import Augmentation, CTAugment
from ssl_mix.augment.views import ALTERED, kind_of
from ssl_mix.datasets import DataSet
from ssl_mix.engine.config import TrainConfig
from ssl_mix.engine.execution import autocast
from ssl_mix.errors import UserError
from ssl_mix.passes import evaluating, full_precision
from ssl_mix.randomness import stream_generator
from ssl_mix.ranks import rows_shared
from ssl_mix.types import Batch


def policy_of(algorithm: Algorithm, data: DataSet) -> CTAugment | None:
    """The state of the policy of strong views; None for one that learns nothing.

    Raises:
        ValueError: a policy was chosen and no view is made by it.
    """
    wanted, own = data.augmentation, data.own_views
    if not isinstance(wanted, Augmentation) or wanted.policy == "randaugment":
        return None
    views = (*algorithm.labeled_views, *algorithm.unlabeled_views)
    if not any(kind_of(view) in ALTERED and not (own and own.makes(view)) for view in views):
        raise UserError(
            f"`augment={wanted.policy}` says how strong views are made, and {type(algorithm).__name__} has "
            f"none made here, it reads {', '.join(dict.fromkeys(views))}: leave it out"
        )
    return CTAugment(geometry=wanted.geometry) if wanted.policy == "ctaugment" else None


@torch.no_grad()
def learn(
    policy: CTAugment,
    data: DataSet,
    teacher: nn.Module,
    images: torch.Tensor | None,
    batch: Batch,
    config: TrainConfig,
    step: int,
) -> None:
    """Let the policy learn from what the teacher says of labeled images that it altered.

    Args:
        policy: of strong views; changed.
        data: whose weak views are altered.
        teacher: the moving average of the student.
        images: labeled ones of the step as they are stored, uint8 (B, C, H, W).
        batch: of the step, which has their classes.
        config: of the run.
        step: the number of the step.
    """
    assert images is not None and batch.labeled.target is not None
    generator = stream_generator(config.seed, "probe", step)
    probed = policy.probe(data.of_pixels.weak(images, generator), generator=generator)
    seen = data.of_pixels.normalize(probed.images, channels_last=config.channels_last)
    with autocast(config, images.device), rows_shared(teacher), evaluating(teacher):
        answers = F.softmax(full_precision(teacher(seen)), dim=1)
    policy.update(probed.slots, answers, batch.labeled.target)
