"""The way to the endpoint: proxy, certificates, time limits, and how far a request got on it."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from types import SimpleNamespace
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import httpx

from asd_rewriter.errors import EndpointDown
from asd_rewriter.llm.settings import LlmSettings, is_http_address

_CONNECT_SECONDS = 10.0


@dataclass
class Trip:
    """How far a request got: `sent` from its head on; `reused`: on a connection kept open."""

    sent: bool = False
    reused: bool = False

    def was_stale(self, error: Exception) -> bool:
        """Tell whether the kept connection was closed before the request came: nobody read it."""
        closed = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)
        return self.reused and isinstance(error, closed)


def open_session(settings: LlmSettings) -> aiohttp.ClientSession:
    """Return a session whose requests note in `trace_request_ctx`, a `Trip`, how far they got.

    Raises EndpointDown if the environment's proxy or certificates cannot be used.
    """
    key = settings.key
    proxy, trusted = find_proxy(settings), certificates(settings)
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=trusted),  # the workers bound the calls
        headers={"Authorization": f"Bearer {key}"} if key else None,
        timeout=aiohttp.ClientTimeout(settings.timeout_s, connect=_CONNECT_SECONDS),
        cookie_jar=aiohttp.DummyCookieJar(),
        proxy=proxy,
        trace_configs=[_watch()],
    )


def find_proxy(settings: LlmSettings) -> str | None:
    """Return the URL of the environment's proxy for the endpoint, or None.

    Raises EndpointDown if it is no HTTP proxy.
    """
    parts, known = urlsplit(settings.base_url), getproxies()
    host = parts.hostname or ""
    if proxy_bypass(parts.netloc) or proxy_bypass(host):
        return None
    found = known.get(parts.scheme) or known.get("all")
    if not found:
        return None
    url = found if "://" in found else f"http://{found}"
    if not is_http_address(url):
        scheme, _, rest = url.partition("://")
        raise _unusable(
            settings,
            f"the proxy {scheme}://{rest.rpartition('@')[2]} is not like http://host:port or "
            f"https://host:port. Set {parts.scheme}_proxy to such a proxy, or add {host} to "
            "no_proxy",
        )
    return url


def certificates(settings: LlmSettings) -> ssl.SSLContext:
    """Trust `SSL_CERT_FILE`, else `SSL_CERT_DIR`, else the certificates of `certifi`.

    Not the system's: small images have none. Raises EndpointDown if they cannot be read.
    """
    try:
        return httpx.create_ssl_context()
    except OSError as error:
        raise _unusable(
            settings,
            f"the certificates that SSL_CERT_FILE or SSL_CERT_DIR names cannot be read ({error}). "
            "Correct or unset it",
        ) from None


def _unusable(settings: LlmSettings, why: str) -> EndpointDown:
    model = f"The model {settings.model!r} at {settings.base_url}"
    return EndpointDown(f"{model} cannot be asked: {why}, then run again.")


def _watch() -> aiohttp.TraceConfig:
    async def sent(_session: object, context: SimpleNamespace, _what: object) -> None:
        context.trace_request_ctx.sent = True

    async def reused(_session: object, context: SimpleNamespace, _what: object) -> None:
        context.trace_request_ctx.reused = True

    watch = aiohttp.TraceConfig()
    watch.on_request_headers_sent.append(sent)
    watch.on_connection_reuseconn.append(reused)
    return watch
