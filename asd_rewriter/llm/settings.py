"""Settings of the model that rewrites: where it is, how it is asked, and what it may cost."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

_RESERVED = frozenset({"model", "messages", "stream", "n", "response_format", "max_tokens"})


class LlmSettings(BaseModel):
    """How to reach and to use an OpenAI-compatible endpoint.

    `base_url` ends before `/chat/completions` (`http://127.0.0.1:8000/v1`). `model_digest` tells
    two models of one name apart in the cache; without it `/v1/models` is asked (id and root).
    `timeout_s` bounds one try, `retries` the tries after the first one on 429, 5xx, time-outs and
    broken connections, with waits of `backoff_s` x 2^n at most. `attempts` (1..10): how often a
    turn is put to the model before it stays native. `turns_per_call`: most turns of one image in
    one call. `extra` is added to every request body. `extra_tokens` are allowed on top of each
    answer, for models that think aloud.

    Budget, None = no limit: `max_calls` counts HTTP requests, retries included; `max_tokens` counts
    prompt and completion tokens; `max_cost` is in the money of the two prices, which are per
    million tokens. `image_tokens`: allowance per image while a call is under way.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    base_url: str
    model: str = Field(min_length=1)
    api_key: SecretStr | None = None
    model_digest: str | None = None
    concurrency: int = Field(default=64, ge=1, le=1024)
    timeout_s: float = Field(default=120.0, gt=0, le=3600)
    retries: int = Field(default=5, ge=0, le=20)
    backoff_s: float = Field(default=0.5, gt=0, le=60)
    attempts: int = Field(default=3, ge=1, le=10)
    turns_per_call: int = Field(default=8, ge=1, le=32)
    temperature: float = Field(default=0.7, ge=0, le=2)
    structured: bool = True
    extra_tokens: int = Field(default=0, ge=0, le=32_768)
    extra: dict[str, Any] = Field(default_factory=dict)
    max_calls: int | None = Field(default=None, ge=0)
    max_tokens: int | None = Field(default=None, ge=0)
    max_cost: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    prompt_price: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    completion_price: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    image_tokens: int = Field(default=1500, ge=0)

    @field_validator("base_url")
    @classmethod
    def _plain_http(cls, url: str) -> str:
        if not is_http_address(url):
            raise ValueError("base_url must be like http://host:8000/v1")
        parts = urlsplit(url)
        if parts.username or parts.password:
            raise ValueError("base_url holds a user name or password: put the key into api_key")
        if parts.query or parts.fragment:
            raise ValueError("base_url holds a query or fragment: give the address alone")
        return url.rstrip("/").removesuffix("/chat/completions")

    @field_validator("extra")
    @classmethod
    def _extra_is_extra(cls, extra: dict[str, Any]) -> dict[str, Any]:
        if taken := sorted(_RESERVED & extra.keys()):
            raise ValueError(f"extra sets {taken[0]!r}, which is set elsewhere: remove it")
        return extra

    @model_validator(mode="after")
    def _money_needs_prices(self) -> LlmSettings:
        if self.max_cost is not None and not (self.prompt_price or self.completion_price):
            raise ValueError(
                f"max_cost is {self.max_cost:g} and both prices are 0: set prompt_price and "
                "completion_price (per million tokens)"
            )
        return self

    @property
    def key(self) -> str:
        """The API key, or an empty text."""
        return self.api_key.get_secret_value() if self.api_key else ""


def is_http_address(url: str) -> bool:
    """Whether a URL has the form of http or https, with a host and a port that can be."""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").encode("idna")
        return parts.scheme in ("http", "https") and bool(host) and parts.port != 0
    except ValueError:
        return False
