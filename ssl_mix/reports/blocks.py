"""What a page is made of: sections of paragraphs, tables, charts, matrices, galleries, pictures and commands.

Charts, matrices and galleries are data that ``page.js`` draws as SVG or HTML; plotly would do it too, but its
script alone is 4.7 MB in each page, where ours is 20 kB, and prints, follows the color scheme and can be
reached by keyboard without more.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, NamedTuple

Point = tuple[float, float]


class Number(NamedTuple):
    """A cell that is sorted by its value, not by its text."""

    text: str
    value: float


Cell = str | Number


@dataclass(frozen=True)
class Text:
    """A paragraph; of a warning it is marked."""

    kind: ClassVar[str] = "text"
    text: str
    warning: bool = False


@dataclass(frozen=True)
class Table:
    """Rows under a header, or, without one, names with what belongs to them. The reader may sort it by a
    column."""

    kind: ClassVar[str] = "table"
    rows: Sequence[Sequence[Cell]]
    header: Sequence[str] = ()
    caption: str = ""
    sortable: bool = False


@dataclass(frozen=True)
class Series:
    """A curve of (x, y), and thin ones of the single runs whose mean it is."""

    name: str
    points: Sequence[Point]
    thin: Sequence[Sequence[Point]] = ()


@dataclass(frozen=True)
class Chart:
    """Curves over steps, each to be switched off and on, and dashed levels (name, y)."""

    kind: ClassVar[str] = "chart"
    title: str
    series: Sequence[Series]
    unit: str = ""
    levels: Sequence[tuple[str, float]] = ()

    @property
    def data(self) -> dict[str, Any]:
        """For the script."""
        return asdict(self)


@dataclass(frozen=True)
class Reliability:
    """Accuracy in each bin of confidence, both in percent, and how many images are in it: (from, to,
    accuracy, mean confidence, images)."""

    kind: ClassVar[str] = "reliability"
    bins: Sequence[tuple[float, float, float, float, int]]

    @property
    def data(self) -> dict[str, Any]:
        """For the script."""
        return {"bins": [list(one) for one in self.bins]}


@dataclass(frozen=True)
class Matrix:
    """A confusion matrix of any number of classes, by its cells that are not 0: (true class, predicted class,
    images)."""

    kind: ClassVar[str] = "matrix"
    classes: Sequence[str]
    cells: Sequence[Sequence[int]]

    @property
    def data(self) -> dict[str, Any]:
        """For the script."""
        return asdict(self)


@dataclass(frozen=True)
class Gallery:
    """Pictures that a reader chooses among.

    Attributes:
        classes: names.
        pictures: [URI, true class or -1, predicted class, confidence in percent, name, note] of each.
        sets: by name, positions in ``pictures``, in order.
        pixelated: whether they are so small that their pixels should be seen.
    """

    kind: ClassVar[str] = "gallery"
    classes: Sequence[str]
    pictures: Sequence[Sequence[Any]]
    sets: Mapping[str, Sequence[int]]
    pixelated: bool = False

    @property
    def data(self) -> dict[str, Any]:
        """For the script."""
        return asdict(self)


@dataclass(frozen=True)
class Pictures:
    """Rows of small pictures (URI, caption), each row with a name."""

    kind: ClassVar[str] = "pictures"
    rows: Sequence[tuple[str, Sequence[tuple[str, str]]]]
    pixelated: bool = False


@dataclass(frozen=True)
class Figure:
    """A picture as wide as the page."""

    kind: ClassVar[str] = "figure"
    uri: str
    about: str


@dataclass(frozen=True)
class Commands:
    """What to type."""

    kind: ClassVar[str] = "commands"
    text: str


@dataclass(frozen=True)
class Fold:
    """Blocks that are shown when asked for."""

    kind: ClassVar[str] = "fold"
    summary: str
    blocks: Sequence["Block"]


Block = Text | Table | Chart | Reliability | Matrix | Gallery | Pictures | Figure | Commands | Fold


@dataclass(frozen=True)
class Section:
    """A part of a page with a heading."""

    heading: str
    blocks: Sequence[Block]
