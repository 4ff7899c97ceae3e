"""All settings of the service, read once from `RETAIN_*` environment variables or arguments."""

from __future__ import annotations

import sys
from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from adapters_store.servable import ENGINE_RANK_LIMITS


class Settings(BaseSettings):
    """Where state lives, what the service listens on, and how engines and trainers start."""

    model_config = SettingsConfigDict(env_prefix="RETAIN_", extra="forbid")

    state_dir: Path = Path(".retain")
    database_url: str | None = None  # default: SQLite inside state_dir
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    trainer_slots: int = Field(default=1, ge=1)
    trainer_python: str = sys.executable
    stop_grace_seconds: float = Field(default=30.0, gt=0)
    engine_python: str = sys.executable
    engine_max_lora_rank: int = Field(default=128, ge=1, le=ENGINE_RANK_LIMITS[-1])
    engine_max_loras: int = Field(default=4, ge=1)
    engine_max_cpu_loras: int = Field(default=32, ge=1)
    engine_max_model_len: int | None = None
    engine_dtype: str = "auto"
    engine_kv_cache_gib: int = Field(default=1, ge=1)
    engine_start_timeout_seconds: float = Field(default=600.0, gt=0)
    engine_extra_args: tuple[str, ...] = ()
    asd_llm_url: str | None = None  # "self": this service's own engine
    asd_llm_model: str | None = None
    asd_llm_api_key: SecretStr | None = None
    asd_llm_concurrency: int = Field(default=64, ge=1, le=1024)
    max_upload_bytes: int = 20 * 2**30
    max_request_bytes: int = 32 * 2**20

    @property
    def resolved_database_url(self) -> str:
        """Return the SQLAlchemy URL in force."""
        return self.database_url or f"sqlite:///{self.state_dir.resolve() / 'retain.db'}"

    def missing_for_llm(self) -> list[str]:
        """Return the variables that are missing to rewrite by a model."""
        needed = {"ASD_LLM_URL": self.asd_llm_url, "ASD_LLM_MODEL": self.asd_llm_model}
        if self.asd_llm_url == "self":
            del needed["ASD_LLM_MODEL"]
        return [f"RETAIN_{name}" for name, value in needed.items() if not value]

    def folder(self, name: str) -> Path:
        """Return (and make) a folder of the state directory, e.g. `blobs`, `attempts`."""
        path = self.state_dir.resolve() / name
        if not self.state_dir.exists():  # ours from the start; later its owner's to change
            self.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.mkdir(parents=True, exist_ok=True)
        return path
