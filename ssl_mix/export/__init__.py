"""Trained networks for use without this package: ``ssl-mix export``."""

from ssl_mix.export.export import Compared, export

__all__ = ["Compared", "export"]
