"""Which images resemble each other, and labels that spread from one to the next."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

ROUNDING = 1e-8


def closeness(queries: Tensor, keys: Tensor, temperature: float, known: Tensor | None = None) -> Tensor:
    """Cosines over a temperature of queries (..., N, E) and keys (..., K, E), all normalized: (..., N, K)
    float32 or better; -1e9, of which a softmax makes 0, where a key is not ``known``, (K,) or like them."""
    with torch.autocast(queries.device.type, enabled=False):
        found = queries @ keys.to(queries.dtype).mT / temperature
    return found if known is None else torch.where(known, found, -1e9)


def edge_losses(
    queries: Tensor, keys: Tensor, probabilities: Tensor, bank: Tensor, labels: Tensor, temperature: float
) -> tuple[Tensor, Tensor]:
    """``CE(e, e')``, and ``CE(p, e' Y)``: views of an image are as close to other images, and these have its
    class; means over the images.

    e (N, K) is the softmax of how close the keys are to the bank, e' that of the queries.

    Args:
        queries: normalized embeddings of one view, (N, E).
        keys: of the other, without gradient.
        probabilities: p, (N, C), without gradient.
        bank: of other images, (K, E).
        labels: Y, their class distributions, (K, C).
        temperature: of the closeness.

    Source: Zheng et al., "SimMatchV2" (ICCV 2023), edge-edge and node-edge consistency.
    """
    wanted = torch.softmax(closeness(keys, bank, temperature), dim=1)
    near = closeness(queries, bank, temperature)
    with torch.autocast(near.device.type, enabled=False):
        reached = torch.softmax(near, dim=1) @ labels.to(near.dtype)
    log_reached = reached.clamp(min=torch.finfo(reached.dtype).tiny).log()
    return F.cross_entropy(near, wanted), -(probabilities * log_reached).sum(dim=1).mean()


@torch.no_grad()
def spread_labels(
    probabilities: Tensor,
    keys: Tensor,
    bank: Tensor,
    truth: Tensor,
    neighbors: int,
    spread: float,
    temperature: float,
) -> Tensor:
    """Predictions (N, C) that the nearest labeled images correct, by label spreading in one graph for each.

    The nodes of the graph of an image are itself and the labeled images closest to it; Y (n + 1, C) are their
    labels, the prediction for itself; a row of A is the softmax over the other nodes of how close they are.
    ``(1 - a) (1 - a A)^-1 Y``, of which the first row comes back, is computed as ``(1 - a) sum_k a^k A^k Y``
    until ``a^k`` is below 1e-8.

    Args:
        probabilities: predictions, (N, C).
        keys: normalized embeddings of the images, (N, E).
        bank: of the labeled images, (L, E).
        truth: their labels, (L, C) one-hot; rows of zeros for those that are not known.
        neighbors: nodes beside the image, at most.
        spread: a, in [0, 1).
        temperature: of the closeness.

    Source: Zhou et al., "Learning with Local and Global Consistency" (NeurIPS 2003).
    """
    known = truth.any(dim=1)
    near = closeness(keys, bank, temperature, known)
    chosen = near.topk(min(neighbors, len(bank)), dim=1).indices
    nodes = torch.cat((keys[:, None], bank.to(keys.dtype)[chosen]), dim=1)
    labels = torch.cat((probabilities[:, None], truth.to(probabilities.dtype)[chosen]), dim=1)
    joined = torch.cat((torch.ones_like(known[chosen][:, :1]), known[chosen]), dim=1)[:, None, :]
    own = torch.eye(nodes.shape[1], dtype=torch.bool, device=nodes.device)
    edges = torch.softmax(closeness(nodes, nodes, temperature, joined & ~own), dim=2).to(labels.dtype)
    steps = math.ceil(math.log(ROUNDING) / math.log(spread)) if spread else 0
    reached = weights = own[:1].to(edges.dtype).expand(len(nodes), 1, -1)
    with torch.autocast(nodes.device.type, enabled=False):
        for _ in range(steps):
            reached = spread * (reached @ edges)
            weights = weights + reached
        return (1 - spread) * (weights @ labels)[:, 0]
