"""The HTTP session to an endpoint: whom it trusts, how long it waits, through which proxy."""

from __future__ import annotations

from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import httpx

from asd_rewriter.llm.settings import LlmSettings

NOT_SENT = (
    aiohttp.ClientConnectorError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.ClientHttpProxyError,
    aiohttp.InvalidURL,
)
"""Errors after which nothing had been sent to the endpoint."""
_CONNECT_SECONDS = 10.0


class ProxyRefused(Exception):
    """The environment names a proxy that cannot be used."""


def open_session(settings: LlmSettings) -> aiohttp.ClientSession:
    """Return a session for any number of calls at a time; raises ProxyRefused.

    Certificates are trusted as httpx does: certifi's, or $SSL_CERT_FILE and $SSL_CERT_DIR. The
    proxy comes from the environment.
    """
    is_https = settings.base_url.startswith("https:")
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            limit=0,  # the workers bound the calls
            ssl=httpx.create_ssl_context() if is_https else True,
        ),
        headers={"Authorization": f"Bearer {settings.key}"} if settings.key else None,
        timeout=_timeout(settings.timeout_s),
        cookie_jar=aiohttp.DummyCookieJar(),
        proxy=_proxy(settings.base_url),
    )


def _timeout(longest: float) -> aiohttp.ClientTimeout:
    """A connection has less time than the whole, so that one that never was is known as such."""
    connect = min(0.9 * longest, _CONNECT_SECONDS)
    return aiohttp.ClientTimeout(longest, connect=connect, ceil_threshold=longest + 1)


def _proxy(url: str) -> str | None:
    """Return the environment's proxy for a URL."""
    parts, known = urlsplit(url), getproxies()
    if proxy_bypass(parts.netloc):
        return None
    proxy = known.get(parts.scheme) or known.get("all")
    if proxy is None:
        return None
    scheme, divided, _ = proxy.partition("://")
    if divided and scheme not in ("http", "https"):
        raise ProxyRefused(
            f"the environment names a {scheme} proxy for it, and only http and https proxies can "
            "be used (set no_proxy for its host, or another proxy)"
        )
    return proxy if divided else f"http://{proxy}"
