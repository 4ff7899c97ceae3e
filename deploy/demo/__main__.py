"""`make demo`: three tasks, one after another, through the whole loop; then a rollback.

Run it again and it goes on where it was: live tasks are skipped, an interrupted job is watched.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import time
from pathlib import Path

import httpx
from rich.console import Console
from rich.panel import Panel
from rich.rule import Rule
from rich.text import Text

from deploy.demo import story
from deploy.demo.leftovers import end_leftovers
from deploy.demo.memory import MemoryPeak
from deploy.demo.server import Running, ServiceFailed, answers, running_service
from service.client import ApiError, RetainClient
from service.errors import PermanentConflict

STATE_DIR = Path(".retain-demo")
_WATCH_SECONDS = 5.0
_MOST_MISSES = 3
console = Console(emoji=False)


def main() -> int:
    """Run the demo; return the exit code."""
    options = _parser().parse_args()
    state_dir = options.state_dir.resolve()
    if options.clean:
        return _clean(state_dir)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        with running_service(state_dir, options.port) as service:
            _go(service, state_dir, options.exit)
    except KeyboardInterrupt:
        console.print("stopped; what this demo started has ended. 'make demo' goes on from here.")
    except (ServiceFailed, ApiError, story.DemoFailed, OSError) as error:
        return _failed(str(error))
    except httpx.HTTPError as error:
        return _failed(f"the service stopped answering ({error}); see {state_dir / 'service.log'}")
    return 0


def _interrupt(number: int, _frame: object) -> None:
    """Let the terminal's end, or a kill, end the demo as Ctrl-C does."""
    raise KeyboardInterrupt


def _go(service: Running, state_dir: Path, leave: bool) -> None:
    try:
        _run(state_dir, service.url)
        _stay(service, state_dir, leave)
    except KeyboardInterrupt:
        if not service.ours:
            console.print(f"the service on {service.url} belongs to another terminal: it runs on.")
        raise


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
    """Remove the state folder with all that still runs for it, unless a service works in it."""
    if not state_dir.exists():
        return 0
    try:
        end_leftovers(state_dir)
    except PermanentConflict as error:
        console.print(Text(str(error), "red"))
        return 1
    shutil.rmtree(state_dir)
    console.print(Text(f"removed {state_dir}"))
    return 0


def _run(state_dir: Path, url: str) -> None:
    memory, started = MemoryPeak(state_dir), time.monotonic()
    key = (state_dir / "admin.key").read_text().strip()
    client = RetainClient(url, key)
    try:
        story.tell(client, state_dir, console)
    finally:
        client.close()
        peak = memory.stop()
    seconds = time.monotonic() - started
    console.print(f"took {seconds / 60:.1f} minutes; peak memory {peak / 1e9:.2f} GB (sum of PSS)")


def _stay(service: Running, state_dir: Path, leave: bool) -> None:
    """Say where everything is, in lines that can be copied whole, and wait."""
    key = (state_dir / "admin.key").read_text().strip()
    client = RetainClient(service.url, key)
    link = client.post("/v1/login-links")["path"]
    client.close()
    stop = "Ctrl-C here" if service.ours else "Ctrl-C in the terminal that started the service"
    console.print(Rule("the service is running", align="left"))
    lines = (
        ("dashboard", f"{service.url}{link}"),
        ("", "(signs one browser in, within 10 minutes)"),
        ("API docs", f"{service.url}/docs"),
        ("admin key", f"{state_dir}/admin.key"),
        ("try", f"RETAIN_STATE_DIR={state_dir} .venv/bin/retain report demo@production"),
        ("stop", f"{stop}; 'make clean-demo' then removes the state folder"),
    )
    for name, text in lines:
        console.print(f"{name:<10} {text}", markup=False, highlight=False, soft_wrap=True)
    if not leave:
        _watch(service.url, state_dir)


def _watch(url: str, state_dir: Path) -> None:
    """Wait for Ctrl-C; raises ServiceFailed when the service answers no more."""
    misses = 0
    while misses < _MOST_MISSES:
        time.sleep(_WATCH_SECONDS)
        misses = 0 if answers(url) else misses + 1
    raise ServiceFailed(f"the service has ended; see {state_dir / 'service.log'}")


if __name__ == "__main__":
    raise SystemExit(main())
