"""Published error rates of semi-supervised algorithms, to be printed beside ours.

The tables below hold what their sources print, digit for digit; where a source prints accuracies, the error
is 100 minus them. Not every number is comparable: networks, metrics and the network's own details differ, so
each names its network and metric. All sources took 2^20 steps. The tables of SVHN drew labels from "train"
and "extra" and mirrored the digits; those of STL-10 are of 96 pixels. The decoupled mixup paper's own table
(its Table 7: mean of three trials, best checkpoint) is quoted from where it is quoted in full digits or in
one decimal; its MixMatch + DM numbers are missing here because no quotation of them was found.
"""

from typing import NamedTuple


class Published(NamedTuple):
    """One published error rate.

    Attributes:
        source: where it is printed.
        metric: how it was chosen among checkpoints, and over what it is averaged.
        net: network.
        mean: error in per cent.
        deviation: in per cent, or None where the source gives none.
    """

    source: str
    metric: str
    net: str
    mean: float
    deviation: float | None


class Table(NamedTuple):
    """A table of a source as it is printed.

    Attributes:
        source: where.
        metric: of all its numbers.
        nets: network by data set.
        accuracy: whether it prints accuracies.
        columns: "DATASET-LABELS", separated by spaces.
        rows: "mean+-deviation" for each column by algorithm.
        remarks: by algorithm, added to the source.
    """

    source: str
    metric: str
    nets: dict[str, str]
    accuracy: bool
    columns: str
    rows: dict[str, str]
    remarks: dict[str, str] = {}


TORCHSSL = Table(
    "TorchSSL README",
    "best test checkpoint, mean and deviation of seeds 0 to 2",
    {"cifar10": "WRN-28-2", "cifar100": "WRN-28-8", "stl10": "WRN-37-2 (var)", "svhn": "WRN-28-2"},
    True,
    "cifar10-40 cifar10-250 cifar10-4000 cifar100-400 cifar100-2500 cifar100-10000 "
    "stl10-40 stl10-250 stl10-1000 svhn-40 svhn-250 svhn-1000",
    {
        "pi-model": "25.66+-1.76 53.76+-1.29 86.87+-0.59 13.04+-0.8 41.2+-0.66 63.35+-0.0 "
        "25.69+-0.85 44.87+-1.5 67.22+-0.4 32.52+-0.95 86.7+-1.12 92.84+-0.11",
        "pseudo-label": "25.39+-0.26 53.51+-2.2 84.92+-0.19 12.55+-0.85 42.26+-0.28 63.45+-0.24 "
        "25.32+-0.99 44.55+-2.43 67.36+-0.71 35.39+-5.6 84.41+-0.95 90.6+-0.32",
        "mean-teacher": "29.91+-1.6 62.54+-3.3 91.9+-0.21 18.89+-1.44 54.83+-1.06 68.25+-0.23 "
        "28.28+-1.45 43.51+-2.75 66.1+-1.37 63.91+-3.98 96.55+-0.03 96.73+-0.05",
        "vat": "25.34+-2.12 58.97+-1.79 89.49+-0.12 14.8+-1.4 53.16+-0.79 67.86+-0.19 "
        "25.26+-0.38 43.58+-1.97 62.05+-1.12 25.25+-3.38 95.67+-0.12 95.89+-0.2",
        "mixmatch": "63.81+-6.48 86.37+-0.59 93.34+-0.26 32.41+-0.66 60.24+-0.48 72.22+-0.29 "
        "45.07+-0.96 65.48+-0.32 78.3+-0.68 69.4+-8.39 95.44+-0.32 96.31+-0.37",
        "remixmatch": "90.12+-1.03 93.7+-0.05 95.16+-0.01 57.25+-1.05 73.97+-0.35 79.98+-0.27 "
        "67.88+-6.24 87.51+-1.28 93.26+-0.14 75.96+-9.13 93.64+-0.22 94.84+-0.31",
        "uda": "89.38+-3.75 94.84+-0.06 95.71+-0.07 53.61+-1.59 72.27+-0.21 77.51+-0.23 "
        "62.58+-8.44 90.28+-1.15 93.36+-0.17 94.88+-4.27 98.08+-0.05 98.11+-0.01",
        "fixmatch": "92.53+-0.28 95.14+-0.05 95.79+-0.08 53.58+-0.82 71.97+-0.16 77.8+-0.12 "
        "64.03+-4.14 90.19+-1.04 93.75+-0.33 96.19+-1.18 97.98+-0.02 98.04+-0.03",
        "flexmatch": "95.03+-0.06 95.02+-0.09 95.81+-0.01 60.06+-1.62 73.51+-0.2 78.1+-0.15 "
        "70.85+-4.16 91.77+-0.39 94.23+-0.18 91.81+-3.2 93.41+-2.29 93.28+-0.3",
    },
)

USB = Table(
    "USB results/classic_cv.csv",
    "best test checkpoint, mean and deviation of seeds 0 to 2",
    {"cifar10": "WRN-28-2", "cifar100": "WRN-28-2", "svhn": "WRN-28-2"},
    False,
    "cifar10-40 cifar10-250 cifar10-4000 svhn-40 svhn-250 svhn-1000 cifar100-400 cifar100-2500 "
    "cifar100-10000",
    {
        "supervised": "77.58+-1.82 55.96+-1.95 15.51+-0.18 82.21+-1.72 25.7+-2.42 12.46+-0.45 "
        "89.87+-0.47 61.25+-0.54 38.99+-0.14",
        "pseudo-label": "76.29+-1.08 48.28+-2.1 14.9+-0.2 75.95+-3.39 16.6+-1.13 9.33+-0.58 "
        "87.15+-0.87 59.09+-0.61 38.86+-0.09",
        "mean-teacher": "76.93+-2.29 56.06+-2.03 15.47+-0.43 81.94+-1.33 25.1+-3.17 12.29+-0.45 "
        "90.34+-0.65 61.13+-0.57 39.05+-0.12",
        "pi-model": "75.56+-2.02 47.69+-1.52 12.8+-0.09 77.38+-5.36 13.55+-0.42 7.24+-0.19 "
        "87.13+-1.25 60.08+-0.61 39.1+-0.16",
        "vat": "76.42+-2.57 42.58+-6.67 10.97+-0.19 77.0+-6.59 4.59+-0.13 4.09+-0.21 "
        "83.11+-0.27 53.17+-0.57 36.58+-0.21",
        "mixmatch": "70.67+-1.25 37.28+-0.61 7.38+-0.06 79.63+-5.78 3.71+-0.2 3.12+-0.09 "
        "79.95+-0.29 49.58+-0.62 32.1+-0.13",
        "remixmatch": "14.5+-2.58 9.21+-0.55 4.88+-0.05 31.27+-18.79 6.38+-1.09 5.34+-0.45 "
        "57.1+-0.0 34.77+-0.32 26.18+-0.23",
        "adamatch": "5.05+-0.04 5.01+-0.11 4.29+-0.06 2.32+-0.17 2.14+-0.1 2.04+-0.02 "
        "47.82+-1.48 33.26+-0.55 27.53+-0.12",
        "dash": "15.01+-3.7 5.13+-0.26 4.35+-0.09 2.08+-0.09 1.97+-0.01 2.03+-0.03 "
        "53.98+-2.31 34.47+-0.12 27.72+-0.13",
        "uda": "8.01+-1.34 5.12+-0.15 4.32+-0.07 2.03+-0.02 2.03+-0.03 1.96+-0.01 "
        "53.44+-2.06 34.37+-0.28 27.52+-0.1",
        "fixmatch": "8.33+-1.41 4.97+-0.05 4.29+-0.1 2.08+-0.08 1.99+-0.05 2.0+-0.04 "
        "53.37+-2.15 34.29+-0.43 28.28+-0.18",
        "flexmatch": "5.21+-0.36 5.0+-0.05 4.28+-0.05 3.36+-0.37 5.02+-1.2 5.43+-0.46 "
        "50.15+-1.51 33.35+-0.33 27.12+-0.04",
        "freematch": "4.97+-0.09 4.85+-0.1 4.14+-0.19 3.79+-0.03 4.09+-0.66 4.31+-0.0 "
        "49.24+-2.16 32.79+-0.21 27.17+-0.11",
        "softmatch": "5.06+-0.02 4.84+-0.1 4.27+-0.12 2.31+-0.0 2.15+-0.05 2.08+-0.04 "
        "49.64+-1.46 33.05+-0.05 27.26+-0.03",
    },
    {"mean-teacher": "of a version whose consistency loss was zero"},
)

LARGE_ON_100 = {"cifar10": "WRN-28-2", "cifar100": "WRN-28-8"}

FIXMATCH_PAPER = Table(
    "Sohn et al. 2020 (RandAugment)",
    "median of the last 20 checkpoints, mean and deviation of 5 folds",
    LARGE_ON_100,
    False,
    "cifar10-40 cifar10-250 cifar10-4000 cifar100-400 cifar100-2500 cifar100-10000",
    {"fixmatch": "13.81+-3.37 5.07+-0.65 4.26+-0.05 48.85+-1.75 28.29+-0.11 22.60+-0.12"},
)

DECOUPLED_MIXUP_LEADERBOARD = Table(
    "Liu et al. 2023 (decoupled mixup), quoted by paperswithcode.com",
    "best test checkpoint, mean and deviation of 3 trials",
    LARGE_ON_100,
    False,
    "cifar10-250 cifar10-4000 cifar100-10000",
    {"fixmatch+dm-as": "4.77+-0.09 4.13+-0.11 20.42+-0.17"},
)

DECOUPLED_MIXUP_ROUNDED = Table(
    "Liu et al. 2023 (decoupled mixup), rounded by Fini et al. 2023, Table 1",
    "best test checkpoint, mean of 3 trials",
    LARGE_ON_100,
    True,
    "cifar100-400 cifar100-2500",
    {"fixmatch+dm-as": "59.8 74.1"},
)

TABLES = (TORCHSSL, USB, FIXMATCH_PAPER, DECOUPLED_MIXUP_LEADERBOARD, DECOUPLED_MIXUP_ROUNDED)


def published(dataset: str, labels: int, algorithm: str) -> list[Published]:
    """Error rates that others have published; an empty list where none is known.

    Args:
        dataset: "cifar10", "cifar100", "svhn" or "stl10".
        labels: labeled images in all.
        algorithm: a name that ``ssl-mix list`` shows; with "+dm-as" behind it where the paper added DM(CE)
            and AS.
    """
    column = f"{dataset}-{labels}"
    return [
        _entry(table, dataset, column, algorithm)
        for table in TABLES
        if algorithm in table.rows and column in table.columns.split()
    ]


def _entry(table: Table, dataset: str, column: str, algorithm: str) -> Published:
    cell = table.rows[algorithm].split()[table.columns.split().index(column)]
    value, _, deviation = cell.partition("+-")
    mean = round(100 - float(value), 2) if table.accuracy else float(value)
    remark = table.remarks.get(algorithm)
    source = f"{table.source} ({remark})" if remark else table.source
    return Published(source, table.metric, table.nets[dataset], mean, float(deviation) if deviation else None)
