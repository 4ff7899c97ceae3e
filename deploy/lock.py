"""Write a lock file: every package that some extras need, pinned as installed here.

    python -m deploy.lock train serve > deploy/locks/cpu.txt

The pins come from this environment, which the tests ran in. Left out are `torch`, which is
installed first and by itself, and packages that have no CPU build next to it: on a CPU machine
they must not be installed at all, so the file is applied with `pip install --no-deps`.
"""

from __future__ import annotations

import argparse
import sys
import tomllib
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"
SEPARATE = {"torch"}
NO_CPU_BUILD = {"torchvision", "torchaudio", "torchcodec", "triton"}


def roots(extras: list[str]) -> list[Requirement]:
    """Return the project's own requirements, those of the named extras included."""
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    lines = list(project["dependencies"])
    for extra in extras:
        lines += project["optional-dependencies"][extra]
    return [Requirement(line) for line in lines]


def closure(requirements: list[Requirement]) -> dict[str, str]:
    """Return name -> installed version of everything the requirements need.

    Raises importlib.metadata.PackageNotFoundError for a package that is not installed.
    """
    found: dict[str, str] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    waiting = list(requirements)
    while waiting:
        wanted = waiting.pop()
        name, extras = canonicalize_name(wanted.name), frozenset(wanted.extras)
        if name in NO_CPU_BUILD or (name, extras) in seen:
            continue
        seen.add((name, extras))
        package = metadata.distribution(name)
        found[name] = package.version
        waiting += [
            needed
            for needed in map(Requirement, package.requires or [])
            if _applies(needed, extras)
        ]
    return {name: version for name, version in found.items() if name not in SEPARATE}


def _applies(requirement: Requirement, extras: frozenset[str]) -> bool:
    if requirement.marker is None:
        return True
    return any(requirement.marker.evaluate({"extra": extra}) for extra in extras or {""})


def main() -> None:
    """Write the lock for the extras named on the command line to stdout."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m deploy.lock")
    parser.add_argument("extras", nargs="*", help="extras of pyproject.toml, e.g. train serve")
    pins = closure(roots(parser.parse_args().extras))
    lines = [f"{name}=={version}\n" for name, version in sorted(pins.items())]
    sys.stdout.writelines(lines)


if __name__ == "__main__":
    main()
