"""``python -m ssl_mix.cli`` is the ``ssl-mix`` command."""

from ssl_mix.cli.main import main

if __name__ == "__main__":
    main()
