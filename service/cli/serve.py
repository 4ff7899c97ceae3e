"""`retain serve`: the service in the foreground, after a look at what it needs."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.text import Text

from service.cli import context

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from service.settings import Settings

LogLevel = Literal["debug", "info", "warning", "error"]


def serve(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on (RETAIN_HOST, 127.0.0.1).")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(help="Port to listen on (RETAIN_PORT, 8000)."),
    ] = None,
    state_dir: Annotated[
        Path | None, typer.Option(help="Everything is kept here (RETAIN_STATE_DIR, .retain).")
    ] = None,
    log_level: Annotated[
        LogLevel, typer.Option(case_sensitive=False, help="What goes to the log.")
    ] = "info",
) -> None:
    """Start the service. Ctrl-C lets a running trainer checkpoint, then ends everything.

    Example: `retain serve --state-dir ./state --port 8000`
    """
    import uvicorn

    from service.app import create_app
    from service.logs import configure

    configure(log_level)
    settings = read_settings(host, port, state_dir or context.target.state_dir)
    check_address(settings.host, settings.port)
    check_state_folder(settings)
    address = f"http://{settings.host}:{settings.port}"
    context.console.print(Text(f"Retain on {address}  (docs at /docs, dashboard at /)"))
    context.console.print(Text(f"admin key: {settings.state_dir / 'admin.key'}"), soft_wrap=True)
    uvicorn.run(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        log_config=None,
        timeout_graceful_shutdown=5,
        access_log=False,
    )


def read_settings(host: str | None, port: int | None, state_dir: Path) -> Settings:
    """Return the settings; a value that is refused ends the command."""
    from pydantic import ValidationError
    from pydantic_settings import SettingsError

    from service.settings import Settings

    options: dict[str, Any] = {"host": host, "port": port, "state_dir": state_dir}
    given = {name: value for name, value in options.items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        context.fail("\n      ".join(_refusal(problem, given) for problem in error.errors()))
    except SettingsError as error:
        context.fail(
            f"{error}: it is not JSON. Write a list like "
            'RETAIN_ENGINE_EXTRA_ARGS=\'["--max-num-seqs", "16"]\'.'
        )


def _refusal(problem: ErrorDetails, given: dict[str, Any]) -> str:
    field = str(problem["loc"][0])
    name = f"--{field.replace('_', '-')}" if field in given else f"RETAIN_{field.upper()}"
    wanted = problem["msg"].removeprefix("Input should be ").split(",")[0]
    return (
        f"{name} {str(problem['input'])!r} is refused: it should be {wanted}. "
        "Correct it, or leave it out for the default."
    )


def check_address(host: str, port: int) -> None:
    """End the command, before anything is made, when the service could not listen there."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError) as error:
        context.fail(f"cannot listen on {host}: {error}. Name this machine's address with --host.")
    try:
        for family, _kind, _protocol, _name, address in found:
            socket.create_server(address[:2], family=family).close()
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        context.fail(
            f"cannot listen on {host}, port {port}: {reason}. Stop what listens there (another "
            "'retain serve'?), or choose another port with --port or address with --host."
        )


def check_state_folder(settings: Settings) -> None:
    """End the command when the state folder cannot be made, or when a service uses it."""
    from service.errors import PermanentConflict
    from service.lock import StateLock

    try:
        StateLock(settings.folder("") / "service.lock").release()  # taken again by the app
    except PermanentConflict as error:
        context.fail(error.message)
    except OSError as error:
        context.fail(
            f"the state folder {settings.state_dir} cannot be made or written: {error.strerror}. "
            "Name another one with --state-dir."
        )
