"""A small OpenAI-shaped engine process: adapters by name, deterministic answers, no model.

It is started by the service exactly as vLLM is: `fake_engine_python` writes an "interpreter" that
runs this file. An answer is a function of the adapter's weights file, the question and the
images, so other weights answer otherwise. It ends by itself after a few minutes.

Environment: `FAKE_START_SECONDS` (default 0), `FAKE_TOKEN_SECONDS` (pause between streamed
tokens), `FAKE_IGNORES_ADAPTERS=1` (every name answers as the base does), `FAKE_DIES=1` (ends
with an error while starting), `FAKE_DIES_LOADING=1` (dies of the first adapter).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

WORDS = ("red", "green", "blue", "circle", "square", "three", "left", "top", "yes", "no", "A", "B")
LIFETIME_SECONDS = 300.0
NUM_WORDS = 3


def fake_engine_python(folder: Path, **environment: str) -> str:
    """Write an executable that stands for an interpreter with vLLM; return its path."""
    path = folder / "fake-engine-python"
    settings = " ".join(f"{name}={value}" for name, value in environment.items())
    path.write_text(f'#!/bin/sh\nexec env {settings} {sys.executable} {__file__} "$@"\n')
    path.chmod(0o755)
    return str(path)


def identity_of(adapter: Path | None) -> str:
    """Return what stands for an adapter's weights; None is the base."""
    if adapter is None:
        return "base"
    return hashlib.sha256((adapter / "adapter_model.safetensors").read_bytes()).hexdigest()


def answer_of(identity: str, question: str, images: list[str]) -> tuple[str, list[float]]:
    """Return the answer and its log-probabilities; `images` are data URLs."""
    seed = hashlib.sha256("\n".join((identity, question, *images)).encode()).digest()
    words = [WORDS[byte % len(WORDS)] for byte in seed[:NUM_WORDS]]
    return " ".join(words), [-(byte + 1) / 64 for byte in seed[8 : 8 + NUM_WORDS]]


class FakeEngine(ThreadingHTTPServer):
    """The server with its base's name and its adapters' folders by name."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, port: int, base: str, model: str) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.base = base
        self.model = model
        self.adapters: dict[str, str] = {}
        self.ready_at = time.monotonic() + float(os.environ.get("FAKE_START_SECONDS", "0"))
        self.token_seconds = float(os.environ.get("FAKE_TOKEN_SECONDS", "0"))
        self.ignores_adapters = os.environ.get("FAKE_IGNORES_ADAPTERS") == "1"
        self.lock = threading.Lock()

    def identity(self, name: str) -> str | None:
        """Return what answers under a name, or None when nothing does."""
        with self.lock:
            path = self.adapters.get(name)
        if path is None:
            return "base" if name == self.base else None
        return "base" if self.ignores_adapters else identity_of(Path(path))


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: FakeEngine
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""

    def do_GET(self) -> None:
        """Health and models."""
        if self.path == "/health":
            self._send(200 if time.monotonic() >= self.server.ready_at else 503, {})
        elif self.path == "/v1/models":
            with self.server.lock:
                loaded = {self.server.base: self.server.model, **self.server.adapters}
            cards = [{"id": name, "object": "model", "root": root} for name, root in loaded.items()]
            self._send(200, {"object": "list", "data": cards})
        else:
            self._error(404, "Not Found")

    def do_POST(self) -> None:
        """Load, unload, chat."""
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        routes = {
            "/v1/load_lora_adapter": self._load,
            "/v1/unload_lora_adapter": self._unload,
            "/v1/chat/completions": self._chat,
        }
        handler = routes.get(self.path)
        if handler is None:
            self._error(404, "Not Found")
        else:
            handler(body)

    def _load(self, body: dict[str, Any]) -> None:
        if os.environ.get("FAKE_DIES_LOADING") == "1":
            os._exit(1)
        name, path = body["lora_name"], body["lora_path"]
        if not (Path(path) / "adapter_model.safetensors").is_file():
            return self._error(404, f"No adapter found for {path}")
        with self.server.lock:
            if name in self.server.adapters or name == self.server.base:
                return self._error(400, f"The lora adapter '{name}' has already been loaded.")
            self.server.adapters[name] = path
        return self._send(200, {})

    def _unload(self, body: dict[str, Any]) -> None:
        with self.server.lock:
            known = self.server.adapters.pop(body["lora_name"], None)
        if known is None:
            return self._error(404, f"The lora adapter '{body['lora_name']}' cannot be found.")
        return self._send(200, {})

    def _chat(self, body: dict[str, Any]) -> None:
        identity = self.server.identity(body["model"])
        if identity is None:
            return self._error(404, f"The model `{body['model']}` does not exist.")
        question, images = _prompt(body["messages"])
        if "TOO LONG" in question:
            return self._error(400, f"The prompt is too long for {body['model']}.")
        if body.get("n", 1) > 1 and body.get("temperature") == 0:
            return self._error(400, "n must be 1 when using greedy sampling")
        text, logprobs = answer_of(identity, question, images)
        if body.get("stream"):
            return self._stream(body, text)
        content = [
            {"token": word, "logprob": value}
            for word, value in zip(text.split(), logprobs, strict=True)
        ]
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": text},
            "logprobs": {"content": content} if body.get("logprobs") else None,
            "finish_reason": "stop",
        }
        choices = [{**choice, "index": index} for index in range(body.get("n", 1))]
        time.sleep(self.server.token_seconds * NUM_WORDS)
        return self._send(
            200,
            {
                "id": "chatcmpl-fake",
                "object": "chat.completion",
                "created": int(time.time()),
                "model": body["model"],
                "choices": choices,
                "usage": {"prompt_tokens": 1, "completion_tokens": NUM_WORDS, "total_tokens": 4},
                "prompt_logprobs": None,
            },
        )

    def _stream(self, body: dict[str, Any], text: str) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        self.close_connection = True
        pieces = [word if at == 0 else f" {word}" for at, word in enumerate(text.split())]
        deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
        deltas += [{"content": piece} for piece in pieces]
        for at, delta in enumerate(deltas):
            choice = {
                "index": 0,
                "delta": delta,
                "finish_reason": "stop" if at == len(deltas) - 1 else None,
            }
            self._event(
                json.dumps(
                    {
                        "id": "chatcmpl-fake",
                        "object": "chat.completion.chunk",
                        "created": int(time.time()),
                        "model": body["model"],
                        "choices": [choice],
                    }
                )
            )
            time.sleep(self.server.token_seconds)
        self._event("[DONE]")

    def _event(self, data: str) -> None:
        self.wfile.write(f"data: {data}\n\n".encode())
        self.wfile.flush()

    def _error(self, status: int, message: str) -> None:
        error = {"message": message, "type": "BadRequestError", "param": None, "code": status}
        self._send(status, {"error": error})

    def _send(self, status: int, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def _prompt(messages: list[dict[str, Any]]) -> tuple[str, list[str]]:
    questions: list[str] = []
    images: list[str] = []
    for message in messages:
        content = message["content"]
        for part in [{"type": "text", "text": content}] if isinstance(content, str) else content:
            if part["type"] == "text":
                questions.append(part["text"])
            else:
                images.append(part["image_url"]["url"])
    return "\n".join(questions), images


def main() -> None:
    """Answer the service's probe, or serve until the lifetime is over."""
    if sys.argv[1] == "-c":
        sys.stdout.write(json.dumps({"version": "0.0-fake", "cpu": True}))
        return
    if os.environ.get("FAKE_DIES") == "1":
        raise SystemExit("the fake engine was told to die")
    parser = argparse.ArgumentParser()
    parser.add_argument("-m", dest="module")
    parser.add_argument("--model", required=True)
    parser.add_argument("--served-model-name", required=True)
    parser.add_argument("--host", required=True, choices=["127.0.0.1"])
    parser.add_argument("--port", type=int, required=True)
    options, _vllm_flags = parser.parse_known_args()
    server = FakeEngine(options.port, options.served_model_name, options.model)
    timer = threading.Timer(LIFETIME_SECONDS, lambda: os._exit(0))
    timer.daemon = True
    timer.start()
    server.serve_forever()


if __name__ == "__main__":
    main()
