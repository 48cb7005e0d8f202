"""How much corruptions hurt, in one number for each kind and one for all."""

from torch import Tensor

from ssl_mix.errors import UserError
from ssl_mix.evaluation.values import check_values

# Mean errors of AlexNet over severities on ImageNet-C, in the order of CORRUPTIONS, from its published code.
ALEXNET_ERRORS = (
    *(0.886428, 0.894468, 0.922640, 0.819880, 0.826268, 0.785948, 0.798360, 0.866816),
    *(0.826572, 0.819324, 0.564592, 0.853204, 0.646056, 0.717840, 0.606500),
)


def corruption_errors(errors: Tensor, reference: Tensor | None = None) -> Tensor:
    """CE of each kind: ``mean_s E[k, s]``, as a share of that of a reference where one is given. Their mean
    is the mCE.

    Args:
        errors: shares of wrong answers by kind and severity, (K, S) float in [0, 1].
        reference: mean errors of the reference over severities, (K,), above 0: those of AlexNet in the
            published table of ImageNet-C. CIFAR-C has none.

    Returns:
        (K,) float64, 0 at best; above 1 only where worse than the reference.

    Raises:
        ValueError: other shapes or values.

    Source: Hendrycks & Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions and
    Perturbations" (ICLR 2019).

    Examples:
        >>> errors = torch.tensor([[0.2, 0.4], [0.5, 0.5]])
        >>> corruption_errors(errors)
        tensor([0.3000, 0.5000], dtype=torch.float64)
        >>> corruption_errors(errors, torch.tensor([0.6, 1.0])).mean()  # the mCE
        tensor(0.5000, dtype=torch.float64)
    """
    check_values(errors=errors)
    if errors.ndim != 2 or 0 in errors.shape:
        raise UserError(f"errors must be shares (kinds, severities), got {tuple(errors.shape)}")
    if not ((errors >= 0) & (errors <= 1)).all():
        raise UserError(f"errors must be shares in [0, 1], got {errors.min():g} to {errors.max():g}")
    means = errors.double().mean(dim=1)
    if reference is None:
        return means
    check_values(errors=errors, reference=reference)
    if reference.shape != means.shape or not (reference > 0).all():
        raise UserError(f"reference must be {len(means)} errors above 0, got {tuple(reference.shape)}")
    return means / reference.double()
