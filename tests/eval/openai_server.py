"""A small server with the shape of OpenAI's chat API, on loopback, for contract tests."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class ChatServer(ThreadingHTTPServer):
    """Answers with `answer(prompt)`; `failures` are statuses to give first, one per request."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, answer: Callable[[str], Any]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer = answer
        self.failures: list[int] = []
        self.requests: list[dict[str, Any]] = []
        self.authorizations: list[str | None] = []
        self.peers: set[tuple[str, int]] = set()
        self.seconds = 0.0
        self.busy = self.busiest = 0
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        """Base URL without `/v1`."""
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ChatServer

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        server = self.server
        with server.lock:
            server.busy += 1
            server.busiest = max(server.busiest, server.busy)
            server.requests.append(body)
            server.peers.add(self.client_address)
            server.authorizations.append(self.headers["authorization"])
            status = server.failures.pop(0) if server.failures else 200
        time.sleep(server.seconds)
        reply = self._reply(body) if status == 200 else {"error": {"message": f"status {status}"}}
        with server.lock:
            server.busy -= 1
        self._send(status if self.path == "/v1/chat/completions" else 404, reply)

    def _reply(self, body: dict[str, Any]) -> Any:
        prompt = body["messages"][0]["content"][-1]["text"]
        text = self.server.answer(prompt)
        if isinstance(text, dict):
            return text
        return {"choices": [{"message": {"role": "assistant", "content": text}}]}

    def _send(self, status: int, reply: Any) -> None:
        content = json.dumps(reply).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args: Any) -> None:
        pass


@contextmanager
def serving(answer: Callable[[str], Any]) -> Iterator[ChatServer]:
    """Run a server until the block ends."""
    server = ChatServer(answer)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
