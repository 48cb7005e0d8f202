"""The ``ssl-mix`` command."""
