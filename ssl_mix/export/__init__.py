"""Trained networks for use without this package: ``ssl-mix export``."""

from ssl_mix.export.export import Compared, export
from ssl_mix.export.int8 import Quantized, export_int8

__all__ = ["Compared", "Quantized", "export", "export_int8"]
