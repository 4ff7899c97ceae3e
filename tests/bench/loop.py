"""`make bench-loop`: the demo's three tasks, then 24 alias switches under chat load."""

from __future__ import annotations

import json
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

from rich.console import Console

from deploy.demo import story
from deploy.demo.memory import MemoryPeak
from deploy.demo.server import running_service
from service.client import RetainClient

SWITCHES = 24
CHAT_CLIENTS = 8
console = Console(stderr=True)


def main() -> int:
    """Run the loop in a fresh state folder and print the figures."""
    with tempfile.TemporaryDirectory(prefix="retain-bench-") as folder:
        state_dir = Path(folder)
        with running_service(state_dir, free_port()) as service:
            figures = _measure(state_dir, service.url)
    sys.stdout.write(json.dumps(figures) + "\n")
    return 0 if figures["failed_requests"] == 0 else 1


def _measure(state_dir: Path, url: str) -> dict[str, Any]:
    key = (state_dir / "admin.key").read_text().strip()
    client = RetainClient(url, key)
    memory, started = MemoryPeak(state_dir), time.monotonic()
    story.tell(client, state_dir, console)
    wall = time.monotonic() - started
    load = _switch_under_load(client, url, key)
    summaries = client.get(f"/v1/streams/{story.STREAM}/matrix")["summaries"]
    peak = memory.stop()
    client.close()
    return {
        "wall_s": round(wall, 1),
        "phase_s": _phase_seconds(url, key),
        "peak_mem_gb": round(peak / 1e9, 2),
        **load,
        "mft": round(summaries["mft"], 2),
        "mfn": round(summaries["mfn"], 2),
        "maa": round(summaries["maa"], 2),
        "bwt": round(summaries["bwt"], 2),
    }


def _phase_seconds(url: str, key: str) -> dict[str, float]:
    client = RetainClient(url, key)
    seconds: Counter[str] = Counter()
    for job in client.list_all("/v1/jobs", stream=story.STREAM):
        for phase in client.job(job["id"])["phases"]:
            seconds[phase["phase"]] += phase["seconds"] or 0.0
    client.close()
    return {phase: round(value, 2) for phase, value in seconds.items()}


def _switch_under_load(client: RetainClient, url: str, key: str) -> dict[str, Any]:
    now, before = story.two_versions(client)
    load = ChatLoad(url, key)
    switch_ms = []
    for number in range(SWITCHES):
        target = before if number % 2 == 0 else now
        move = client.move_alias(story.STREAM, target, "benchmark", override=True)
        switch_ms.append(move["switch_ms"])
        time.sleep(0.3)
    requests, failed = load.stop()
    return {
        "switches": SWITCHES,
        "chat_clients": CHAT_CLIENTS,
        "chat_requests": requests,
        "failed_requests": failed,
        "switch_ms_p50": round(statistics.median(switch_ms), 2),
        "switch_ms_max": round(max(switch_ms), 2),
    }


class ChatLoad:
    """Clients that ask `production` the same question in a loop until told to stop."""

    def __init__(self, url: str, key: str) -> None:
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._requests = self._failed = 0
        self._threads = [
            threading.Thread(target=self._loop, args=(url, key)) for _ in range(CHAT_CLIENTS)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> tuple[int, int]:
        """End the load; return the numbers of requests and of failures."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        return self._requests, self._failed

    def _loop(self, url: str, key: str) -> None:
        client = RetainClient(url, key)
        while not self._stop.is_set():
            try:
                client.chat(story.STREAM, "What is in the image?", max_tokens=8)
                failed = 0
            except Exception as error:  # every failure counts, whatever it is
                console.print(f"request failed: {error}")
                failed = 1
            with self._lock:
                self._requests += 1
                self._failed += failed
        client.close()


def free_port() -> int:
    """Return a port that is free on loopback now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    raise SystemExit(main())
