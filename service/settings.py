"""All settings of the service, read once from `RETAIN_*` environment variables or arguments."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict

from adapters_store.servable import ENGINE_RANK_LIMITS
from asd_rewriter.llm.settings import LlmSettings

Value = TypeVar("Value")
OWN_ENGINE = "self"
"""The URL that stands for the service's own engine."""


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
    asd_llm_url: str | None = None  # "self": the own engine
    asd_llm_model: str | None = None
    asd_llm_api_key: SecretStr | None = None
    asd_llm_concurrency: int = Field(default=64, ge=1, le=1024)
    asd_llm_timeout_seconds: float = Field(default=120.0, gt=0, le=3600)
    asd_llm_retries: int = Field(default=5, ge=0, le=20)
    asd_llm_max_calls: int | None = Field(default=None, ge=0)  # limits are of one job
    asd_llm_max_tokens: int | None = Field(default=None, ge=0)
    asd_llm_prompt_price: float = Field(default=0.0, ge=0)  # per million tokens
    asd_llm_completion_price: float = Field(default=0.0, ge=0)
    asd_llm_max_cost: float | None = Field(default=None, ge=0)
    asd_llm_extra_tokens: int = Field(default=0, ge=0, le=32_768)
    asd_llm_extra: dict[str, Any] = Field(default_factory=dict)
    max_upload_bytes: int = 20 * 2**30
    max_request_bytes: int = 32 * 2**20

    @property
    def resolved_database_url(self) -> str:
        """Return the SQLAlchemy URL in force."""
        return self.database_url or f"sqlite:///{self.state_dir.resolve() / 'retain.db'}"

    @field_validator("asd_llm_url")
    @classmethod
    def _can_be_asked(cls, url: str | None) -> str | None:
        return url if url == OWN_ENGINE else _accepted(url, "base_url", "like http://host:8000/v1")

    @field_validator("asd_llm_extra")
    @classmethod
    def _is_extra(cls, extra: dict[str, Any]) -> dict[str, Any]:
        return _accepted(extra, "extra", "fields of a chat request that are not set elsewhere")

    @field_validator("asd_llm_max_cost")
    @classmethod
    def _has_prices(cls, cost: float | None, info: ValidationInfo) -> float | None:
        prices = info.data.get("asd_llm_prompt_price"), info.data.get("asd_llm_completion_price")
        if cost is not None and not any(prices):
            raise PydanticCustomError(
                "no_price", "Input should be left out while both prices are 0"
            )
        return cost

    def missing_for_llm(self) -> list[str]:
        """Return the variables that are missing to rewrite by a model."""
        needed = {"ASD_LLM_URL": self.asd_llm_url, "ASD_LLM_MODEL": self.asd_llm_model}
        if self.asd_llm_url == OWN_ENGINE:
            del needed["ASD_LLM_MODEL"]
        return [f"RETAIN_{name}" for name, value in needed.items() if not value]

    def llm(
        self, url: str | None = None, model: str | None = None, digest: str | None = None
    ) -> LlmSettings:
        """Return how the model that rewrites is asked; `url`, `model` and its digest: instead of
        those of the settings. Nothing may be missing."""
        return LlmSettings(
            base_url=url or self.asd_llm_url or "",
            model=model or self.asd_llm_model or "",
            model_digest=digest,
            api_key=self.asd_llm_api_key,
            concurrency=self.asd_llm_concurrency,
            timeout_s=self.asd_llm_timeout_seconds,
            retries=self.asd_llm_retries,
            max_calls=self.asd_llm_max_calls,
            max_tokens=self.asd_llm_max_tokens,
            max_cost=self.asd_llm_max_cost,
            prompt_price=self.asd_llm_prompt_price,
            completion_price=self.asd_llm_completion_price,
            extra_tokens=self.asd_llm_extra_tokens,
            extra=self.asd_llm_extra,
        )

    def folder(self, name: str) -> Path:
        """Return (and make) a folder of the state directory, e.g. `blobs`, `attempts`."""
        path = self.state_dir.resolve() / name
        if not self.state_dir.exists():  # ours from the start; later its owner's to change
            self.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.mkdir(parents=True, exist_ok=True)
        return path


def _accepted(value: Value, field: str, wanted: str) -> Value:
    """Return a value that LlmSettings takes for a field."""
    try:
        if value is not None:
            LlmSettings.model_validate({"base_url": "http://a", "model": "m", field: value})
    except ValidationError:
        raise PydanticCustomError("refused", f"Input should be {wanted}") from None
    return value
