"""The way to the endpoint: proxies, certificates, connections that fail, and what they cost."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import certifi
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from asd_rewriter.errors import EndpointDown
from asd_rewriter.llm import connecting
from asd_rewriter.llm.budget import Spent
from asd_rewriter.llm.rewriter import LlmRewriter
from asd_rewriter.rewriter import Rewritten
from tests.asd_rewriter.conftest import card
from tests.asd_rewriter.llm.conftest import IMAGE, MakeRewriter, llm_settings, request
from tests.asd_rewriter.llm.endpoint import Endpoint, Say, answer_well

NOWHERE = "http://model.invalid/v1"  # only a proxy can know this name


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("name", "address"),
    [("http_proxy", "127.0.0.1:{port}"), ("http_proxy", "http://127.0.0.1:{port}"),
     ("all_proxy", "http://127.0.0.1:{port}/"), ("HTTP_PROXY", "http://me:word@127.0.0.1:{port}")],
)  # fmt: skip
def test_the_proxy_of_the_environment_is_used(
    endpoint: Endpoint, make: MakeRewriter, monkeypatch: pytest.MonkeyPatch, name: str, address: str
) -> None:
    monkeypatch.setenv(name, address.format(port=endpoint.port))  # it answers for any host
    endpoint.models = {"data": [{"id": "m", "root": "seen through the proxy"}]}
    (outcome,) = make(url=NOWHERE).rewrite([request(1)])
    assert isinstance(outcome, Rewritten)
    (asked,) = endpoint.requests
    assert asked.headers["host"] == "model.invalid"
    assert asked.headers.get("proxy-authorization") == (
        "Basic bWU6d29yZA==" if "me:word" in address else None
    )


@pytest.mark.parametrize("exempt", ["127.0.0.1", "127.0.0.1:{port}", "*"])
def test_no_proxy_names_hosts_and_ports(
    endpoint: Endpoint, make: MakeRewriter, monkeypatch: pytest.MonkeyPatch, exempt: str
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", exempt.format(port=endpoint.port))
    (outcome,) = make().rewrite([request(1)])
    assert isinstance(outcome, Rewritten)


def test_no_proxy_names_ipv6_addresses_without_brackets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "::1")
    assert connecting.find_proxy(llm_settings("http://[::1]:8000/v1")) is None


@pytest.mark.parametrize("digest", [None, "x"])
@pytest.mark.parametrize(
    "proxy", ["socks5://me:word@127.0.0.1:1", "http://", "http://a:b:c", f"http://{'x' * 64}"]
)
def test_other_proxies_are_refused(
    endpoint: Endpoint,
    make: MakeRewriter,
    monkeypatch: pytest.MonkeyPatch,
    proxy: str,
    digest: str | None,
) -> None:
    monkeypatch.setenv("all_proxy", proxy)
    with pytest.raises(EndpointDown, match=r"Set http_proxy to such .* no_proxy") as caught:
        make(model_digest=digest).rewrite([request(1)])
    assert "word" not in caught.value.message
    assert endpoint.calls == 0


@pytest.fixture
def gatekeeper() -> Iterator[int]:
    """A proxy that wants a password; its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    peer, _ = server.accept()
                except OSError:
                    return
                with peer:
                    peer.recv(4096)
                    peer.sendall(b"HTTP/1.1 407 Name Yourself\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
    thread.join()


@pytest.fixture
def crowded() -> Iterator[int]:
    """A port whose queue of connections is full: nobody is let in, nobody is sent away."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        port = server.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for it in waiting:
            it.setblocking(False)
            it.connect_ex(("127.0.0.1", port))
        yield port
        for it in waiting:
            it.close()


def refused(make: MakeRewriter, url: str, says: str, timeout_s: float = 5.0) -> None:
    rewriter = make(url=url, model_digest="x", retries=1, timeout_s=timeout_s)
    with pytest.raises(EndpointDown, match=rf"no connection \(.*{says}.*2 tries"):
        rewriter.rewrite([request(1)])
    assert rewriter.spent == Spent()


def test_what_a_proxy_turned_away_costs_nothing(
    make: MakeRewriter, monkeypatch: pytest.MonkeyPatch, gatekeeper: int
) -> None:
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{gatekeeper}")
    refused(make, "https://model.invalid/v1", "407")


def test_no_connection_within_the_time_limit_costs_nothing(
    make: MakeRewriter, crowded: int
) -> None:
    refused(make, f"http://127.0.0.1:{crowded}/v1", "0.2 s", timeout_s=0.2)


def test_a_connection_has_a_time_limit_of_its_own(
    make: MakeRewriter, crowded: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connecting, "_CONNECT_SECONDS", 0.1)
    started = time.monotonic()
    refused(make, f"http://127.0.0.1:{crowded}/v1", "timeout to host", timeout_s=3.0)
    assert time.monotonic() - started < 2


def test_a_host_name_that_cannot_be_is_not_there(make: MakeRewriter) -> None:
    with pytest.raises(EndpointDown, match="InvalidURL at /models"):
        make(url="http://☃.invalid/v1").rewrite([request(1)])


def test_redirects_are_not_followed(endpoint: Endpoint, make: MakeRewriter) -> None:
    with Endpoint() as other:
        endpoint.script = lambda asked: Say(
            status=307, headers=(f"Location: {other.url}/chat/completions",)
        )
        with pytest.raises(EndpointDown, match="HTTP 307"):
            make(api_key="sk-secret").rewrite([request(1)])
        assert other.calls == 0


def test_a_connection_that_broke_under_way_may_have_been_paid_for(
    endpoint: Endpoint, make: MakeRewriter
) -> None:
    endpoint.script = lambda asked: Say(hang_up=True) if asked.number == 1 else answer_well(asked)
    rewriter = make(image_tokens=1000)
    rewriter.rewrite([request(1)])
    assert (rewriter.spent.calls, rewriter.spent.prompt_tokens > 1100) == (2, True)


def test_a_kept_connection_found_closed_costs_a_call_and_no_tokens(
    endpoint: Endpoint, tmp_path: Path
) -> None:
    def load_image(_digest: str) -> bytes:
        endpoint.hang_up()
        time.sleep(0.05)  # the client cannot notice it before it sends
        return IMAGE

    settings = llm_settings(endpoint.url, concurrency=1)
    with LlmRewriter(card(), 0, settings, load_image, tmp_path / "cache.db") as rewriter:
        outcomes = rewriter.rewrite([request(1), request(2)])
        assert all(isinstance(it, Rewritten) for it in outcomes)
        assert endpoint.calls == 2
        assert rewriter.spent == Spent(3, 200, 40)


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[tuple[Endpoint, Path]]:
    """An endpoint behind TLS, and the file of the certificate that signed itself for it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "retain test")])
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now - day, now + day)
    builder = builder.add_extension(x509.SubjectAlternativeName([address]), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    certificate = builder.sign(key, hashes.SHA256())
    pem = serialization.Encoding.PEM
    (tmp_path / "certificate").write_bytes(certificate.public_bytes(pem))
    (tmp_path / "key").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "certificate", tmp_path / "key")
    with Endpoint(tls=tls) as endpoint:
        yield endpoint, tmp_path / "certificate"


@pytest.mark.parametrize("named", [True, False])
def test_the_certificates_of_certifi_are_trusted_unless_others_are_named(
    secure: tuple[Endpoint, Path], make: MakeRewriter, monkeypatch: pytest.MonkeyPatch, named: bool
) -> None:
    endpoint, certificate = secure
    with pytest.raises(EndpointDown, match=r"no connection .*CERTIFICATE_VERIFY_FAILED"):
        make(url=endpoint.url, model_digest="x").rewrite([request(1)])
    if named:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    else:
        monkeypatch.setattr(certifi, "where", lambda: str(certificate))
    (outcome,) = make(url=endpoint.url).rewrite([request(1)])
    assert isinstance(outcome, Rewritten)
    assert endpoint.calls == 1


@pytest.mark.parametrize("digest", [None, "x"])
def test_certificates_that_cannot_be_read(
    make: MakeRewriter, monkeypatch: pytest.MonkeyPatch, digest: str | None
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/at-all.pem")
    with pytest.raises(EndpointDown, match=r"SSL_CERT_FILE .* cannot be read.*Correct or unset"):
        make(model_digest=digest).rewrite([request(1)])


def test_a_proxy_that_is_away_is_named_without_its_password(
    endpoint: Endpoint, make: MakeRewriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://me:secret@127.0.0.1:9")
    with pytest.raises(EndpointDown, match=r"through the proxy 127\.0\.0\.1:9: ") as caught:
        make().prepare([request(1)])
    assert "secret" not in caught.value.message
    assert endpoint.calls == 0
