"""`retain serve`: the service in the foreground."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from service.cli import context


def serve(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on (RETAIN_HOST, 127.0.0.1).")
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on (RETAIN_PORT, 8000).")] = None,
    state_dir: Annotated[
        Path | None, typer.Option(help="Everything is kept here (RETAIN_STATE_DIR, .retain).")
    ] = None,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "info",
) -> None:
    """Start the service. Ctrl-C lets a running trainer checkpoint, then ends everything.

    Example: `retain serve --state-dir ./state --port 8000`
    """
    import uvicorn

    from service.app import create_app
    from service.logs import configure
    from service.settings import Settings

    configure(log_level)
    given: dict[str, Any] = {"host": host, "port": port}
    given["state_dir"] = state_dir or context.target.state_dir
    settings = Settings(**{name: value for name, value in given.items() if value is not None})
    address = f"http://{settings.host}:{settings.port}"
    context.console.print(Text(f"Retain on {address}  (docs at /docs, dashboard at /)"))
    context.console.print(Text(f"admin key: {settings.state_dir / 'admin.key'}"))
    uvicorn.run(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        log_config=None,
        timeout_graceful_shutdown=5,
        access_log=False,
    )
