"""The `retain` command: the service, and every REST call worth typing."""

from service.cli.commands import app

__all__ = ["main"]


def main() -> None:
    """Run the command line."""
    app()
