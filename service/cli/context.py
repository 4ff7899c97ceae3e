"""What every command shares: where the service is, the key, and the choice of JSON output."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NoReturn

import httpx
import typer
from rich.console import Console
from rich.text import Text

from service.client import ApiError, RetainClient, is_loopback

console = Console(emoji=False)
errors = Console(stderr=True, emoji=False)

JsonFlag = Annotated[bool, typer.Option("--json", help="Print the API's JSON, for machines.")]

WAYS_TO_A_KEY = (
    "Name the service's state folder (retain --state-dir DIR …, or RETAIN_STATE_DIR), "
    "or set RETAIN_API_KEY."
)


@dataclass
class Target:
    """The service a command talks to, and the state folder on this machine."""

    url: str
    state_dir: Path


target = Target("http://127.0.0.1:8000", Path(".retain"))


def fail(message: str, request_id: str | None = None) -> NoReturn:
    """End the command with a message on stderr and exit code 1."""
    lines = [Text.assemble(("error ", "red"), message)]
    if request_id:
        lines.append(Text(f"request {request_id}", "dim"))
    for line in lines:
        errors.print(line, soft_wrap=not errors.is_terminal)
    raise typer.Exit(1)


def find_key(url: str, state_dir: Path) -> str | None:
    """Return RETAIN_API_KEY or, for a service on this machine, its state folder's admin key.

    That admin key is sent to no other machine, whatever `--url` says.
    """
    given = os.environ.get("RETAIN_API_KEY", "").strip()
    if given:
        return _check_key(given, "RETAIN_API_KEY")
    if not is_loopback(_parsed(url).host):
        fail(
            f"no API key for {url}: a state folder's admin key is only sent to a service on this "
            "machine. Set RETAIN_API_KEY."
        )
    path = state_dir / "admin.key"
    try:
        return _check_key(path.read_text(encoding="utf-8").strip(), str(path))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        fail(f"cannot read {path}: {error.strerror}. {WAYS_TO_A_KEY}")
    except UnicodeDecodeError:
        fail(f"{path} does not hold an API key. {WAYS_TO_A_KEY}")


def _parsed(url: str) -> httpx.URL:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        fail(f"{url!r} is not a URL: {error}. Give one like http://127.0.0.1:8000 with --url.")
    if parsed.scheme not in ("http", "https") or not parsed.host:
        fail(f"{url!r} is not a service's URL. Give one like http://127.0.0.1:8000 with --url.")
    return parsed


def _check_key(key: str, source: str) -> str:
    odd = re.search(r"[^!-~]", key)
    if odd:
        fail(
            f"{source} does not hold an API key: character {odd.start() + 1} is {odd[0]!r}, and a "
            f"key has ASCII letters, digits, '-' and '_' only. Put a valid key there."
        )
    return key


@contextmanager
def connect(lead: str = "") -> Iterator[RetainClient]:
    """Yield a client; an error answer ends the command with its message and exit code 1.

    `lead` is said before it: what makes this command ask a service at all.
    """
    key = find_key(target.url, target.state_dir)
    client = RetainClient(target.url, key)
    try:
        yield client
    except ApiError as error:
        message = _no_key() if error.status == 401 and not key else error.message
        fail(f"{lead}{error.code}: {message}", error.request_id)
    except httpx.TransportError as error:
        fail(
            f"{lead}nobody answers at {target.url} ({error}). "
            "Start the service with 'retain serve', or name another one with --url."
        )
    finally:
        client.close()


def _no_key() -> str:
    return f"no API key: there is no admin.key in {target.state_dir}. {WAYS_TO_A_KEY}"


def print_json(value: Any) -> None:
    """Write JSON to stdout, for machines."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
