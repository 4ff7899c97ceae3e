"""`make bench-minicoin-tuning-eight`: RegLoRA's settings over all eight tasks; half an hour."""

from __future__ import annotations

from tests.bench.minicoin_runs.command import main

if __name__ == "__main__":
    raise SystemExit(main("tuning-eight"))
