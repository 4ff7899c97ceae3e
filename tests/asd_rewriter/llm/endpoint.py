"""A local OpenAI-shaped endpoint that answers as it is told; `python -m` runs one of fixed latency.

It reads the prompt as a model would, so that its good answers are good for any question.
"""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

_ASKED = re.compile(r"^Question(?: \d+)?: (.*)\nAnswer: (.*)$", re.M)
_FIELD = re.compile(r'"(wrong_answers|explanation|description)": (\[[^\]]*\]|"\.\.\.")')
BRIEF = "{answer} is what the marked part in the middle of this picture shows to everyone here."
_MORE = " Its shape, its colour and its place beside the other things can all be seen well, and "
DETAILED = BRIEF + _MORE + "none of the other things in the picture looks like it from any side."


@dataclass(frozen=True)
class Request:
    """A chat completion asked for: `number` counts from 1; questions with their answers."""

    number: int
    body: dict[str, Any]
    text: str
    questions: list[tuple[str, str]]
    headers: dict[str, str]


@dataclass(frozen=True)
class Say:
    """What the endpoint does: a reply's content, or a status with a body, or a break."""

    content: str | None = None
    status: int = 200
    body: str = ""
    headers: tuple[str, ...] = ()
    delay: float = 0.0
    finish: str = "stop"
    trickle: bool = False
    hang_up: bool = False
    usage: tuple[int, int] | None = (100, 20)


Script = Callable[[Request], Say]


def good(request: Request, wrong: str = "thing", index: bool = True) -> Any:
    """Return a reply that passes every check."""
    found = _FIELD.search(request.text)
    assert found is not None
    field_name, shape = found[1], found[2]
    items: list[dict[str, Any]] = []
    for number, (_question, answer) in enumerate(request.questions, 1):
        if field_name == "wrong_answers":
            value: Any = [f"{wrong}{at}" for at in range(shape.count("..."))]
        else:
            value = (BRIEF if "20 words" in request.text else DETAILED).format(answer=answer)
        echo = {"question_index": number, "answer": answer} if index else {}
        items.append({**echo, field_name: value})
    return items[0] if len(items) == 1 else {"items": items}


def answer_well(request: Request) -> Say:
    """Answer with a good reply at once."""
    return Say(json.dumps(good(request)))


@dataclass
class Endpoint:
    """Counts what it is asked; `most_in_flight` is the largest number of requests at a time."""

    script: Script = answer_well
    models: Any = field(default_factory=lambda: {"data": [{"id": "m", "root": "/m"}]})
    models_status: int = 200
    requests: list[Request] = field(default_factory=list)
    calls: int = 0
    in_flight: int = 0
    most_in_flight: int = 0
    keep: bool = True
    port: int = 0
    tls: ssl.SSLContext | None = None
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    @property
    def url(self) -> str:
        """The base URL."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}/v1"

    def __enter__(self) -> Endpoint:
        self._loop = asyncio.new_event_loop()
        started = threading.Event()

        async def run() -> None:
            self._stop = asyncio.Event()
            server = await self.start()
            started.set()
            await self._stop.wait()
            server.close()

        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(run(),))
        self._thread.start()
        started.wait()
        return self

    def __exit__(self, *_error: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0.01))
        self._loop.close()

    def hang_up(self) -> None:
        """Close every connection that is open."""

        def close() -> None:
            for writer in self.writers:
                writer.close()

        self._loop.call_soon_threadsafe(close)

    async def start(self) -> asyncio.Server:
        """Listen on a free loopback port, or again on the one it had."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self.tls)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                line, *fields = head.decode().strip().split("\r\n")
                headers = {k.lower(): v.strip() for k, _, v in (it.partition(":") for it in fields)}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                if line.startswith("GET /count"):
                    await _send(writer, Say(status=200, body=str(self.calls)))
                elif line.startswith("GET"):
                    models = (
                        self.models if isinstance(self.models, str) else json.dumps(self.models)
                    )
                    said = Say(status=self.models_status, body=models)
                    await _send(writer, said)
                else:
                    await self._complete(writer, body, headers)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _complete(
        self, writer: asyncio.StreamWriter, body: bytes, headers: dict[str, str]
    ) -> None:
        self.calls += 1
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        parsed = json.loads(body)
        text = parsed["messages"][-1]["content"][-1]["text"]
        request = Request(self.calls, parsed, text, _ASKED.findall(text), headers)
        if self.keep:
            self.requests.append(request)
        try:
            said = self.script(request)
            await asyncio.sleep(said.delay)
        finally:
            self.in_flight -= 1
        await _send(writer, said)


async def _send(writer: asyncio.StreamWriter, said: Say) -> None:
    if said.hang_up:
        writer.close()
        return
    body = said.body
    if said.content is not None:
        message = {"role": "assistant", "content": said.content}
        found: dict[str, Any] = {"choices": [{"message": message, "finish_reason": said.finish}]}
        if said.usage is not None:
            found["usage"] = dict(
                zip(("prompt_tokens", "completion_tokens"), said.usage, strict=True)
            )
        body = json.dumps(found)
    data = body.encode()
    head = [f"HTTP/1.1 {said.status} X", f"Content-Length: {len(data)}", *said.headers]
    writer.write("\r\n".join(head).encode() + b"\r\n\r\n")
    for at in range(0, len(data), 1) if said.trickle else ():
        writer.write(data[at : at + 1])
        await writer.drain()
        await asyncio.sleep(0.05)
    if not said.trickle:
        writer.write(data)
    await writer.drain()


async def _main(latency: float) -> None:
    def script(request: Request) -> Say:
        return Say(json.dumps(good(request)), delay=latency)

    endpoint = Endpoint(script, keep=False)
    server = await endpoint.start()
    sys.stdout.write(f"{endpoint.port}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main(float(sys.argv[1])))
