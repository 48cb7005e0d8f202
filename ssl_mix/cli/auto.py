"""``ssl-mix auto``: what cross-validation finds best, with the ladder that led there."""

from collections.abc import Sequence
from typing import NamedTuple

from rich.table import Table

from ssl_mix.cli.terminal import before_it_begins, console, keep_freed_memory, reading_bar, say, warn
from ssl_mix.cli.train import finish
from ssl_mix.cli.words import read_words
from ssl_mix.engine.execution import resolve_device
from ssl_mix.errors import UserError
from ssl_mix.recipes.auto import prepare
from ssl_mix.recipes.found import Found
from ssl_mix.recipes.image_size import is_free
from ssl_mix.recipes.ladder import Climbed
from ssl_mix.runs.given import Given

DEFAULT_MINUTES = 10.0
ANY = "fine-tuning"  # names the algorithm where words are read; auto chooses its own
HELP = """usage: ssl-mix auto --net WEIGHTS --labeled DIR [--unlabeled DIR] [--test DIR] --out RUN
                    [--minutes 10] [options of data, network and training, as for ssl-mix train]

Learn from few labels with a pre-trained network: features of every image are computed once; a linear probe
and a head that unlabeled images shape, by clusters among their whitened features, are compared by
cross-validation over the labels, and one is fitted to all of them: the second, unless the probe is clearly
ahead of it. Where time is left, the whole network is trained from that head, and kept where cross-validation
says so. The result is an ordinary run; ssl-mix evaluate RUN --json tells its accuracy and that of the probe.

  --minutes  features may take half of them, else images are seen smaller than the weights know them, unless
             --image-size says how large; the rest is for the body (default: 10)

ssl-mix train --help-all explains the other options."""


class AutoWords(NamedTuple):
    """The words of ``ssl-mix auto``.

    Attributes:
        rest: those that ``train`` knows.
        minutes: the time.
    """

    rest: list[str]
    minutes: float


def auto(arguments: Sequence[str]) -> None:
    """Learn from few labels by whatever does best on held-out labels.

    Args:
        arguments: the words behind ``ssl-mix auto``.

    Raises:
        ValueError: a word means nothing, an option is out of range, or the data are not as they should be.
    """
    if {"-h", "--help", "--help-all"} & {*arguments}:
        print(HELP)
        return
    own = split_minutes(arguments)
    words = read_words([ANY, *own.rest])
    if words.out is None:
        raise UserError("`out` is missing: name the folder of the run")
    if resolve_device(str(words.options.get("device", "auto"))).type == "cpu":
        keep_freed_memory()
    with before_it_begins(words.out), reading_bar() as progress:
        session, found = prepare(
            words.out,
            words.options,
            minutes=own.minutes,
            overwrite=words.overwrite,
            on_rung=lambda climbed: say(line(climbed)),
            progress=progress,
            tell=warn,
            resized=(lambda _: Given()) if is_free(words.options) else None,
        )
    if found.ladder:
        console.print(table(found))
    say(f"Chosen  {found.name}: {'; '.join(found.reasons)}")
    finish(session)


def split_minutes(arguments: Sequence[str]) -> AutoWords:
    """``--minutes`` apart from the words that ``train`` knows.

    Raises:
        ValueError: it is no number.
    """
    rest, minutes = list(arguments), DEFAULT_MINUTES
    for place, word in enumerate(arguments):
        name, equals, value = word.partition("=")
        if name == "--minutes":
            given = [value] if equals else list(arguments[place + 1 : place + 2])
            rest = [*arguments[:place], *arguments[place + (1 if equals else 2) :]]
            try:
                minutes = float(given[0])
            except (IndexError, ValueError):
                raise UserError(
                    f"`minutes` must be a number, got {given[0] if given else 'none'!r}"
                ) from None
    return AutoWords(rest, minutes)


def line(climbed: Climbed) -> str:
    """One rung in one line."""
    return f"{climbed.rung.name:20} {100 * climbed.accuracy:5.1f} %  {climbed.seconds:6.1f} s"


def table(found: Found) -> Table:
    """The ladder, the chosen rung marked."""
    shown = Table("", "rung", "cross-validated", "to the probe", "seconds", title="Held-out labels")
    for climbed in found.ladder:
        mark = ">" if climbed.rung.name == found.name else ""
        gain = f"{100 * climbed.gain:+.1f} +- {100 * climbed.error:.1f}"
        accuracy = f"{100 * climbed.accuracy:.1f} %"
        shown.add_row(mark, climbed.rung.name, accuracy, gain, f"{climbed.seconds:.1f}")
    if found.body is not None:
        body = found.body
        gain = f"{100 * body.gain:+.1f} +- {100 * body.error:.1f} to {body.head.name}"
        gain += f", there {100 * (body.accuracy - body.gain):.1f} %"
        shown.add_section()
        shown.add_row(
            ">" if body.kept else "",
            f"{body.name}, {body.folds} folds",
            f"{100 * body.accuracy:.1f} %",
            gain,
            f"{body.seconds:.1f}",
        )
    return shown
