"""Training algorithms, one file each. ``ALGORITHMS`` is the registry."""

if __name__ != "ssl_mix.algorithms":
    raise ImportError(f"this folder is the package ssl_mix.algorithms, not {__name__!r}")

from ssl_mix.algorithm import Algorithm  # noqa: E402
from ssl_mix.algorithms.fixmatch import FixMatch  # noqa: E402
from ssl_mix.algorithms.supervised import Supervised  # noqa: E402

ALGORITHMS: dict[str, type[Algorithm]] = {
    "fixmatch": FixMatch,
    "supervised": Supervised,
}

__all__ = ["ALGORITHMS", "FixMatch", "Supervised"]
