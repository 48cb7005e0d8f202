"""What a run's folder says: summaries, pages, comparisons, plots, CSV files."""

from ssl_mix.reports.csv_files import PSEUDO_LABELS, pseudo_label_rows, write_csv
from ssl_mix.reports.page import REPORT
from ssl_mix.reports.run_page import run_page
from ssl_mix.reports.summary import Summary, summarize
from ssl_mix.reports.told import told_by
from ssl_mix.runs.folder import read_metrics, write_text
from ssl_mix.runs.session import Session

BUDGET = 1_500_000  # characters of pictures at the end of a run, which is not to wait for them


def write_reports(session: Session) -> Summary:
    """Write ``report.html`` and, where there are pseudo-labels, ``pseudo_labels.csv`` into the run's folder;
    what it says in a few numbers. ``ssl-mix report`` writes the page with more pictures."""
    trainer, folder = session.trainer, session.folder
    if trainer.algorithm.unlabeled_views:
        classes, selects = trainer.data.classes, trainer.algorithm.selects
        write_csv(folder / PSEUDO_LABELS, pseudo_label_rows(folder, trainer.bank, classes, selects=selects))
    write_text(folder / REPORT, run_page(told_by(session), BUDGET))
    return summarize(read_metrics(folder))
