"""`make bench-minicoin`: three minicoin tasks, few steps, full, lora and reglora; minutes."""

from __future__ import annotations

from tests.bench.minicoin_runs.command import main

if __name__ == "__main__":
    raise SystemExit(main("quick"))
