"""`python -m service.cli` is the `retain` command."""

from service.cli import main

main()
