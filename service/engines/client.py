"""What the service says to an engine besides chat: is it healthy, load, unload, answer a prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from service.errors import EngineUnavailable

_HEALTH_SECONDS = 5.0
_CALL_SECONDS = 300.0


@dataclass(frozen=True)
class EngineAnswer:
    """A greedy answer: its text and the natural-log probability of each token."""

    text: str
    logprobs: tuple[float, ...]


class EngineClient:
    """A connection to one engine. Methods raise EngineUnavailable when it does not do its part."""

    def __init__(self, url: str) -> None:
        self.url = url
        # Loopback only: proxies of the environment are not for this.
        self._http = httpx.Client(base_url=url, timeout=_CALL_SECONDS, trust_env=False)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def is_healthy(self) -> bool:
        """Say whether the engine answers and is well."""
        try:
            return self._http.get("/health", timeout=_HEALTH_SECONDS).is_success
        except (httpx.HTTPError, RuntimeError):  # RuntimeError: closed meanwhile
            return False

    def models(self) -> dict[str, str]:
        """Return the loaded models: name and the folder that each was read from."""
        answer = self._call("GET", "/v1/models")
        return {card["id"]: card["root"] for card in answer.json()["data"]}

    def load(self, name: str, path: str) -> None:
        """Load an adapter under a name."""
        self._call("POST", "/v1/load_lora_adapter", {"lora_name": name, "lora_path": path})

    def unload(self, name: str) -> None:
        """Take an adapter's name away; requests under way still end well."""
        self._call("POST", "/v1/unload_lora_adapter", {"lora_name": name})

    def ask(
        self, model: str, question: str, images: Sequence[str], max_tokens: int
    ) -> EngineAnswer:
        """Return the greedy answer to images (data URLs) followed by a question."""
        parts = [{"type": "image_url", "image_url": {"url": url}} for url in images]
        body = {
            "model": model,
            "messages": [{"role": "user", "content": [*parts, {"type": "text", "text": question}]}],
            "max_tokens": max_tokens,
            "temperature": 0,
            "logprobs": True,
        }
        choice = self._call("POST", "/v1/chat/completions", body).json()["choices"][0]
        tokens = (choice.get("logprobs") or {}).get("content") or []
        text = choice["message"].get("content") or ""
        return EngineAnswer(text, tuple(float(token["logprob"]) for token in tokens))

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
        try:
            answer = self._http.request(method, path, json=body)
        except (httpx.HTTPError, RuntimeError) as error:  # RuntimeError: closed meanwhile
            raise EngineUnavailable(f"the engine does not answer {path}: {error!r}") from error
        if answer.is_error:
            raise EngineUnavailable(
                f"the engine refused {path} with {answer.status_code}: {answer.text[:1000]}"
            )
        return answer
