"""Images of no class among the unlabeled ones: left out of a step, and how well they are told from others."""

import torch
from torch import Tensor, nn

from ssl_mix.algorithm import Algorithm, Scored
from ssl_mix.datasets import DataSet
from ssl_mix.evaluation import ood_metrics, predict_logits
from ssl_mix.types import Batch, Samples

LOOKED_AT = 1000


@torch.no_grad()
def without_rejected(algorithm: Algorithm, teacher: nn.Module, batch: Batch, share: float) -> Batch:
    """The batch without the ``share`` of its unlabeled images that look least like one of the classes, by
    :meth:`ssl_mix.algorithm.Algorithm.open_set` of the teacher on their first view.

    ``round(share U)`` of U images go, but never all; others of the batch, in turn, take their places, so that
    its size stays. They count in nothing: not in a loss, a threshold, a queue or the pseudo-label bank.
    """
    if batch.unlabeled is None or share == 0:
        return batch
    views, indices, target = batch.unlabeled
    first = next(iter(views.values()))
    score = algorithm.open_set(teacher, first)[1]
    count = len(score)
    gone = min(round(share * count), count - 1)
    order = score.argsort(descending=True, stable=True)
    kept, rejected = order[: count - gone].sort().values, order[count - gone :]
    source = torch.arange(count, device=score.device)
    source[rejected] = kept[torch.arange(gone, device=score.device) % len(kept)]
    chosen = {name: view.index_select(0, source) for name, view in views.items()}
    return batch._replace(unlabeled=Samples(chosen, None if indices is None else indices[source], target))


def rejection(
    algorithm: Algorithm, net: nn.Module, data: DataSet, unlabeled: Tensor, device: torch.device
) -> dict[str, float]:
    """ "rejection_auroc": how well the images of the classes are told from those of none, by
    :meth:`ssl_mix.algorithm.Algorithm.open_set` on 1000 unlabeled images spread evenly, see
    :func:`ssl_mix.evaluation.ood_metrics`; nothing where nobody knows which are of none.

    Args:
        algorithm: of the run.
        net: the teacher, on ``device``.
        data: the images.
        unlabeled: positions of the unlabeled ones, (U,).
        device: where the network is.
    """
    if data.train.foreign is None:
        return {}
    looked_at = unlabeled[:: -(-len(unlabeled) // LOOKED_AT) or 1]
    foreign = data.train.foreign[looked_at]
    if not foreign.any() or foreign.all():
        return {}
    scored = Scored(algorithm, net)
    score = predict_logits(scored, data.train.images, data.augmentation, device, indices=looked_at)[:, -1]
    return {"rejection_auroc": ood_metrics(score[~foreign], score[foreign])["auroc"]}
