"""Numbers in words."""


def percent(value: float, digits: int = 2) -> str:
    """A share of 1 in percent."""
    return f"{100 * value:.{digits}f} %"


def counted(count: int, one: str, many: str = "") -> str:
    """How many of what: "1 step", "2 steps"."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def images(count: int) -> str:
    """How many images."""
    return counted(count, "image")
