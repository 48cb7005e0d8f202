"""Labels that are no class are refused wherever labels come in."""

from torch import Tensor

from ssl_mix.errors import UserError


def check_label_range(labels: Tensor, num_classes: int, where: str, *, unknown: bool) -> None:
    """Raise unless labels (N,) are positions among C classes: one that is none would be wrong in silence.

    Args:
        labels: whole numbers.
        num_classes: C.
        where: whose labels they are, for messages.
        unknown: whether -1 is allowed too.

    Raises:
        ValueError: a label is none of them; names it and where it first is.
    """
    if not isinstance(labels, Tensor):
        raise UserError(
            f"{where}: expected labels as a tensor of int64, got {type(labels).__name__}: torch.tensor(...) "
            "makes one"
        )
    wrong = ((labels < -int(unknown)) | (labels >= num_classes)).nonzero()
    if not len(wrong):
        return
    first = int(wrong[0, 0])
    expected = f"0 to {num_classes - 1} ({num_classes} classes)" + (
        ", or -1 where unknown" if unknown else ""
    )
    found = int(labels[first])
    remedy = (
        "leave out images without a label"
        if found == -1
        else "number the classes from 0, or name more of them"
    )
    raise UserError(
        f"{where}: expected labels from {expected}, got {found} at position {first}, and {len(wrong)} such "
        f"in all: {remedy}"
    )
