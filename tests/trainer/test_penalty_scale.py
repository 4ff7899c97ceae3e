"""The penalty's gradient is coefficient * grad R however steps, ranks and shards are cut."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.trainer.attempts import ROOT
from trainer.spec import BaseModelSpec

pytestmark = pytest.mark.conformance


@pytest.mark.parametrize(("ranks", "stage"), [(1, 2), (2, 2), (1, 3), (2, 3)])
def test_penalty_gradient_is_exact(
    tiny_base: BaseModelSpec, tmp_path: Path, ranks: int, stage: int
) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--local-addr=127.0.0.1", f"--nproc-per-node={ranks}"]
    command += ["-m", "tests.trainer.penalty_worker", tiny_base.path, str(tmp_path), str(stage)]
    quiet = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "HF_HUB_OFFLINE": "1"}

    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **quiet, "GLOO_SOCKET_IFNAME": "lo"},
        capture_output=True,
        text=True,
        timeout=400,
    )

    assert done.returncode == 0, done.stderr[-4000:]
    report = json.loads((tmp_path / "gradients.json").read_text(encoding="utf-8"))
    assert {accumulation: it["steps"] for accumulation, it in report.items()} == {"1": 6, "4": 2}
    for numbers in report.values():
        assert numbers["largest"] > 0.01
        assert numbers["error"] < 1e-5 * numbers["largest"]
