"""Samples of more than 8 bits as samples of 8: one rule for whole numbers and floats of any range."""

import numpy as np
import numpy.typing as npt

BYTE, ROWS = 8, 256


def eight_bits(values: npt.NDArray[np.generic]) -> tuple[npt.NDArray[np.uint8], int, int]:
    """Gray samples of more than 8 bits scaled to 8, and the samples that became black and white.

    White is ``2^n - 1`` with the smallest n that holds the largest sample, rounded: 255, 511, ..., 4095, ...,
    65535. Whole numbers have 8 bits at least, so that small ones stay what they are; floats have 1, so that
    those in [0, 1] are taken as such. Black is 0, or ``-white`` where a sample is negative, then by size.
    Larger samples become white, NaN and -inf black, inf white.

    Args:
        values: (H, W) whole numbers or floats.
    """
    if values.dtype.kind == "f":
        values = np.nan_to_num(values, nan=0.0, posinf=_largest(values), neginf=min(_smallest(values), 0.0))
    low, high = (round(float(found)) for found in (values.min(), values.max()))
    bits = max(high.bit_length(), (-low).bit_length() if low < 0 else 0)
    white = 2 ** max(bits, 1 if values.dtype.kind == "f" else BYTE) - 1
    black = -white if low < 0 else 0
    found = np.empty(values.shape, dtype=np.uint8)
    for start in range(0, len(values), ROWS):  # in strips: doubles of a whole image take eight times as much
        strip = values[start : start + ROWS].astype(np.float64)
        found[start : start + ROWS] = np.rint((strip.clip(black, white) - black) * (255 / (white - black)))
    return found, black, white


def _largest(values: npt.NDArray[np.generic]) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.max()) if finite.size else 1.0


def _smallest(values: npt.NDArray[np.generic]) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.min()) if finite.size else 0.0
