"""`retain serve`: the service in the foreground."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from service.cli.context import console


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8000,
    state_dir: Annotated[
        Path, typer.Option(envvar="RETAIN_STATE_DIR", help="Everything is kept here.")
    ] = Path(".retain"),
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
    settings = Settings(host=host, port=port, state_dir=state_dir)
    console.print(f"Retain on http://{host}:{port}  (docs at /docs, dashboard at /)")
    console.print(f"admin key: {state_dir / 'admin.key'}", highlight=False)
    uvicorn.run(
        create_app(settings),
        host=host,
        port=port,
        log_config=None,
        timeout_graceful_shutdown=5,
        access_log=False,
    )
