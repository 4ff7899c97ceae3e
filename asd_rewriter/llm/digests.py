"""Which model answers under a name: what `/v1/models` says of it, or said when last seen."""

from __future__ import annotations

import json
from typing import Any

import httpx

from asd_rewriter.llm.cache import Cache
from asd_rewriter.llm.client import endpoint_down
from asd_rewriter.llm.connecting import certificates, find_proxy
from asd_rewriter.llm.settings import LlmSettings

_SECONDS = 10.0


def model_digest(settings: LlmSettings, cache: Cache) -> str:
    """Return a text that changes with the model; raises EndpointDown.

    From the settings if given; else the model's id and root at the endpoint. `created` is left
    out: vLLM gives the time of asking. An endpoint that is away is asked no more than once, so
    that finished work can be read again without it; one without such a list has the name alone.
    """
    if settings.model_digest is not None:
        return settings.model_digest
    address = f"{settings.base_url} {settings.model}"
    headers = {"Authorization": f"Bearer {settings.key}"} if settings.key else {}
    proxy, trusted = find_proxy(settings), certificates(settings)
    try:
        answer = httpx.get(
            f"{settings.base_url}/models",
            headers=headers,
            timeout=_SECONDS,
            proxy=proxy,
            verify=trusted,
            trust_env=False,  # the two above say it all
        )
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return _last_seen(settings, cache, address, f"{type(error).__name__} at /models")
    if answer.status_code >= 500 or answer.status_code in (401, 403, 429):
        return _last_seen(settings, cache, address, f"HTTP {answer.status_code} at /models")
    digest = _digest(settings, answer)
    cache.put_digest(address, digest)
    return digest


def _last_seen(settings: LlmSettings, cache: Cache, address: str, what: str) -> str:
    digest = cache.digest(address)
    if digest is None:
        raise endpoint_down(settings, what, 1) from None
    return digest


def _digest(settings: LlmSettings, answer: httpx.Response) -> str:
    try:
        models: list[dict[str, Any]] = [
            it for it in answer.json()["data"] if it.get("id") is not None
        ]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return settings.model
    for model in models:
        if model["id"] == settings.model:
            return json.dumps([model["id"], model.get("root")])
    if not answer.is_success or not models:
        return settings.model
    known = ", ".join(str(it["id"]) for it in models[:8])
    raise endpoint_down(settings, f"it has no such model; it has {known}", 1)
