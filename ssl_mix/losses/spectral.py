"""Spectral shrinkage: what keeps a network from holding on to directions in which a batch hardly differs."""

import torch
from torch import Tensor

from ssl_mix.errors import UserError, check_count
from ssl_mix.losses._common import check_floats


def spectral_shrinkage(features: Tensor, *, smallest: int = 1) -> Tensor:
    """Sum of the k smallest squared singular values of the features: ``sum_{i <= k} sigma_{min, i}^2``, 0-d,
    never negative.

    Of the min(N, D) singular values, taken of the features as they are, neither centered nor scaled. With the
    eigenvectors V (k of them) of the smallest eigenvalues of the smaller Gram matrix, ``F F^T`` or ``F^T F``,
    it is ``||V^T F||^2``, or ``||F V||^2``. V counts as a constant, which leaves the first derivative exact,
    ``2 V V^T F``, and finite where singular values are equal or zero: where the k-th and the next are equal
    it is the derivative for one of the possible choices of V, and directions of value zero contribute none.
    Second derivatives are not to be had.

    The eigenvectors make the host wait for a GPU.

    Args:
        features: one row per image, (N, D) float; half precision is computed in float32, under autocast too.
        smallest: k, from 1 to min(N, D).

    Raises:
        ValueError: the features are not (N, D) float, or have fewer than k singular values.

    Source: Chen et al., "Catastrophic Forgetting Meets Negative Transfer: Batch Spectral Shrinkage for Safe
    Transfer Learning" (NeurIPS 2019), equation 3, whose code takes a singular value decomposition.

    Examples:
        >>> features = torch.diag(torch.tensor([3.0, 2.0, 1.0]))
        >>> spectral_shrinkage(features), spectral_shrinkage(features, smallest=2)
        (tensor(1.), tensor(5.))
    """
    check_count("smallest", smallest)
    check_floats(features=features)
    if features.is_meta:
        raise UserError("features on the meta device have no values: make them on another")
    if features.ndim != 2 or not features.is_floating_point():
        raise UserError(f"features must be float (N, D), got {features.dtype} {tuple(features.shape)}")
    if smallest > min(features.shape):
        raise UserError(
            f"smallest must be at most {min(features.shape)}, the singular values of features "
            f"{tuple(features.shape)}; got "
            f"{smallest}: take a larger batch or a smaller number"
        )
    rows = features if features.shape[0] <= features.shape[1] else features.T
    rows = rows if rows.dtype == torch.float64 else rows.float()
    with torch.autocast(features.device.type, enabled=False):
        directions = _smallest_directions(rows.detach(), int(smallest))
        return (directions.T @ rows).square().sum()


def _smallest_directions(rows: Tensor, count: int) -> Tensor:
    """Eigenvectors of the ``count`` smallest eigenvalues of ``rows rows^T``, as columns (len(rows),
    count)."""
    gram = (rows @ rows.T).nan_to_num()  # where the features have diverged, let the loss say so
    vectors: Tensor = torch.linalg.eigh(gram).eigenvectors  # by rising eigenvalue
    return vectors[:, :count]
