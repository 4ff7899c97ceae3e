"""`make demo`: three tasks, one after another, through the whole loop; then a rollback.

Run it again and it goes on where it was: live tasks are skipped, an interrupted job is watched.
"""

from __future__ import annotations

import argparse
import shutil
import time
from pathlib import Path

import httpx
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.text import Text

from deploy.demo import story
from deploy.demo.memory import MemoryPeak
from deploy.demo.server import ServiceFailed, running_service
from service.client import ApiError, RetainClient
from service.errors import PermanentConflict
from service.lock import StateLock

STATE_DIR = Path(".retain-demo")
console = Console(emoji=False)


def main() -> int:
    """Run the demo; return the exit code."""
    options = _parser().parse_args()
    state_dir = options.state_dir.resolve()
    if options.clean:
        return _clean(state_dir)
    try:
        state_dir.mkdir(parents=True, exist_ok=True)
        with running_service(state_dir, options.port) as url:
            _run(state_dir, url)
            _stay(url, state_dir, options.exit)
    except KeyboardInterrupt:
        console.print(
            "stopped; all that the demo started has ended. 'make demo' goes on from here."
        )
    except (ServiceFailed, ApiError, story.DemoFailed, OSError) as error:
        return _failed(str(error))
    except httpx.HTTPError as error:
        return _failed(f"the service stopped answering ({error}); see {state_dir / 'service.log'}")
    return 0


def _failed(message: str) -> int:
    console.print(Panel(Text(message), title="the demo could not go on", style="red"))
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy.demo", description=__doc__)
    parser.add_argument("--port", type=int, default=8000, help="port of the service (8000)")
    parser.add_argument("--state-dir", type=Path, default=STATE_DIR, help="everything is kept here")
    parser.add_argument("--exit", action="store_true", help="stop the service at the end")
    parser.add_argument("--clean", action="store_true", help="remove the state folder and end")
    return parser


def _clean(state_dir: Path) -> int:
    """Remove the state folder, unless a service works in it."""
    if not state_dir.exists():
        return 0
    try:
        StateLock(state_dir / "service.lock").release()
    except PermanentConflict as error:
        console.print(Text(str(error), "red"))
        return 1
    shutil.rmtree(state_dir)
    console.print(Text(f"removed {state_dir}"))
    return 0


def _run(state_dir: Path, url: str) -> None:
    memory, started = MemoryPeak(), time.monotonic()
    key = (state_dir / "admin.key").read_text().strip()
    client = RetainClient(url, key)
    try:
        story.tell(client, state_dir, console)
    finally:
        client.close()
        peak = memory.stop()
    seconds = time.monotonic() - started
    console.print(f"took {seconds / 60:.1f} minutes; peak memory {peak / 1e9:.2f} GB (sum of PSS)")


def _stay(url: str, state_dir: Path, leave: bool) -> None:
    key = (state_dir / "admin.key").read_text().strip()
    client = RetainClient(url, key)
    link = client.post("/v1/login-links")["path"]
    client.close()
    folder = escape(str(state_dir))
    console.print(
        Panel(
            f"dashboard  {url}{escape(link)}  [dim](signs one browser in, within 10 minutes)[/]\n"
            f"API docs   {url}/docs\n"
            f"admin key  {folder}/admin.key\n"
            f"try        RETAIN_STATE_DIR={folder} .venv/bin/retain report demo@production\n"
            "stop       Ctrl-C here; 'make clean-demo' then removes the state folder",
            title="the service is running",
        ),
        highlight=False,
    )
    while not leave:
        time.sleep(3600)


if __name__ == "__main__":
    raise SystemExit(main())
