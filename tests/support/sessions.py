"""Runs as tests use them."""

from ssl_mix.reports import write_reports
from ssl_mix.runs.session import Session


def train(session: Session) -> bool:
    """Train a session as far as it goes and write its reports; whether it reached its end."""
    for _ in session.records():
        pass
    write_reports(session)
    return session.finished
