"""Benchmarks of speed, one a file: ``python scripts/bench.py NAME --help``."""
