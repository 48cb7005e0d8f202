"""Numbers in words."""

from ssl_mix.errors import counts_of


def percent(value: float, digits: int = 2) -> str:
    """A share of 1 in percent."""
    return f"{100 * value:.{digits}f} %"


def images(count: int) -> str:
    """How many images."""
    return counts_of(count, "image")
