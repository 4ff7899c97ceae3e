"""`make bench-minicoin-full`: the table of all methods over the eight minicoin tasks; hours."""

from __future__ import annotations

from tests.bench.minicoin_runs.command import main

if __name__ == "__main__":
    raise SystemExit(main("full"))
