"""What a run's folder says: summaries, plots, HTML, CSV files."""

from ssl_mix.reports.csv_files import PSEUDO_LABELS, pseudo_label_rows, write_csv
from ssl_mix.reports.html import write_report
from ssl_mix.reports.summary import Summary, summarize
from ssl_mix.runs.folder import read_metrics
from ssl_mix.runs.session import Session


def write_reports(session: Session) -> Summary:
    """Write ``report.html`` and, where there are pseudo-labels, ``pseudo_labels.csv`` into the run's folder;
    what it says in a few numbers."""
    trainer, folder = session.trainer, session.folder
    if trainer.algorithm.unlabeled_views:
        classes, selects = trainer.data.classes, trainer.algorithm.selects
        write_csv(folder / PSEUDO_LABELS, pseudo_label_rows(folder, trainer.bank, classes, selects=selects))
    write_report(folder)
    return summarize(read_metrics(folder))
