"""What functions that count and measure take: tensors with values."""

from torch import Tensor

from ssl_mix.errors import UserError


def check_values(*, whole: bool = False, **tensors: Tensor) -> None:
    """Raise unless all are tensors on one device that has values, of floats or, if ``whole``, of whole
    numbers."""
    for name, given in tensors.items():
        if not isinstance(given, Tensor) or given.is_complex() or not (whole or given.is_floating_point()):
            kind = given.dtype if isinstance(given, Tensor) else type(given).__name__
            raise UserError(f"{name} must be a {'' if whole else 'float '}tensor, got {kind}")
        if given.is_meta:
            raise UserError(f"{name} on the meta device has no values")
    devices = {str(given.device) for given in tensors.values()}
    if len(devices) > 1:
        raise UserError(f"{', '.join(tensors)} must be on one device, got {sorted(devices)}: move them")
