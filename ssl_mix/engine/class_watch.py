"""What the pseudo-labels of a run are worth on its way, and whether one class swallows the others."""

from collections.abc import Sequence

from torch import Tensor

from ssl_mix.algorithm import Algorithm
from ssl_mix.banks import PseudoLabelBank
from ssl_mix.errors import counts_of
from ssl_mix.evaluation.class_bias import class_bias

EXCESS = 0.4  # share of a class above its share of the labels
BEGINNING = 1 / 3  # share of the run that is not judged
SHORT = 100  # steps: in fewer, networks have learned too little to judge them by
COUNTED, FEWEST = 0.1, 20  # pseudo-labels that are enough to judge: a share of the images, and so many


def bank_scores(bank: PseudoLabelBank, truth: Tensor, classes: Sequence[str]) -> dict[str, float]:
    """Coverage, precision (nan where no true class is known) and pseudo-labels that count by class.

    Args:
        bank: of the unlabeled images.
        truth: their true classes, (U,) int64, -1 where unknown.
        classes: names.
    """
    counts = zip(classes, bank.class_counts().tolist(), strict=True)
    return {
        "bank_coverage": bank.coverage().item(),
        "bank_precision": bank.precision(truth).item(),
        **{f"pseudo_labels/{name}": count for name, count in counts},
    }


class ClassWatch:
    """Says once in a run where one class swallows the others: its share of the pseudo-labels that count is 40
    points above its share of the labels.

    Looked at from a third of the run on: before, pseudo-labels that all count favor a class and then recover
    (FlexMatch, FreeMatch and SoftMatch on digits: 83 points after a tenth, 10 after 40 % of 120 steps). At
    least a tenth of the unlabeled images, and 20, must have a pseudo-label that counts. Of two
    equal classes one must have 90 %, of ten 50 %, of a thousand 40.1 %.
    Runs of fewer than 100 steps are not watched.

    Args:
        steps: of the whole run.
    """

    def __init__(self, steps: int) -> None:
        self.first, self.over = BEGINNING * steps, steps < SHORT

    def look(self, step: int, bank: PseudoLabelBank, prior: Tensor, classes: Sequence[str]) -> str:
        """What is wrong after so many steps, a part of a sentence; "" for nothing.

        Args:
            step: steps taken.
            bank: of the unlabeled images.
            prior: labeled images of each class, (C,).
            classes: names.
        """
        counts = bank.class_counts().cpu()
        total = int(counts.sum())
        if self.over or step < self.first or total < max(FEWEST, COUNTED * len(bank.label)):
            return ""
        found = class_bias(counts, prior)
        if found.excess < EXCESS:
            return ""
        self.over = True
        return (
            f"one class swallows the others: {classes[found.largest]!r} has {found.share:.0%} of the {total} "
            f"pseudo-labels that count after {counts_of(step, 'step')}, and {found.prior:.0%} of the labels"
        )


def class_remedies(algorithm: Algorithm) -> str:
    """What to try against it, a part of a sentence."""
    own = ["take `balance_classes` or `align=labeled`"] if getattr(algorithm, "targets", None) else []
    higher = ["raise `threshold`"] if isinstance(getattr(algorithm, "threshold", None), float) else []
    return ", or ".join([*own, *higher, "give more labels"])
