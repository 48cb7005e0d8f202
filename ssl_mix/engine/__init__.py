"""The training loop. It touches no file."""
