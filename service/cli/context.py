"""What every command shares: where the service is, the key, and the choice of JSON output."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from rich.console import Console
from rich.markup import escape

from service.client import ApiError, RetainClient

console = Console(emoji=False)
errors = Console(stderr=True, emoji=False)

JsonFlag = Annotated[bool, typer.Option("--json", help="Print the API's JSON, for machines.")]


@dataclass
class Target:
    """The service a command talks to, and the state folder on this machine."""

    url: str
    key: str | None
    state_dir: Path


target = Target("http://127.0.0.1:8000", None, Path(".retain"))


def find_key(state_dir: Path) -> str | None:
    """Return RETAIN_API_KEY, or the admin key in a state folder on this machine."""
    path = state_dir / "admin.key"
    return os.environ.get("RETAIN_API_KEY") or (path.read_text().strip() if path.exists() else None)


@contextmanager
def connect() -> Iterator[RetainClient]:
    """Yield a client; an error answer ends the command with its message and exit code 1."""
    client = RetainClient(target.url, target.key)
    try:
        yield client
    except ApiError as error:
        errors.print(
            f"[red]error[/] {escape(error.code)}: {escape(error.message)}", highlight=False
        )
        if error.request_id:
            errors.print(f"[dim]request {escape(error.request_id)}[/]", highlight=False)
        raise typer.Exit(1) from error
    except httpx.TransportError as error:
        errors.print(
            f"[red]error[/] nobody answers at {escape(f'{target.url} ({error})')}. "
            "Start the service with 'retain serve', or name another one with --url.",
            highlight=False,
        )
        raise typer.Exit(1) from error
    finally:
        client.close()


def print_json(value: Any) -> None:
    """Write JSON to stdout, for machines."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
