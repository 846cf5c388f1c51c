"""The HTTP server: reads a whole request and writes the answer at once, on persistent connections."""

from __future__ import annotations

import secrets
import socket
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

from sandbox.dispatch import Dispatcher
from sandbox.exchange import Answer, Reply, Request, as_json

MAX_BODY_BYTES = 1_000_000


class SandboxServer(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 1024

    def __init__(self, host: str, port: int, dispatcher: Dispatcher) -> None:
        self.dispatcher = dispatcher
        if ":" in host:
            self.address_family = socket.AF_INET6
        super().__init__((host, port), SandboxHandler)

    def handle_error(self, request: object, client_address: object) -> None:
        """Callers that hang up are normal here and not reported."""


class SandboxHandler(BaseHTTPRequestHandler):
    server: SandboxServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 120  # of an idle connection

    def serve(self) -> None:
        request = self._read_request()
        if isinstance(request, Answer):
            self.close_connection = True
            self._write_reply(Reply(request))
        else:
            self._write_reply(self.server.dispatcher.reply_to(request))

    do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = serve  # noqa: N815 - names of the base class

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - named by the base class
        """Calls are listed in `/_truth/calls`, not printed: addresses may contain client secrets."""

    def _read_request(self) -> Request | Answer:
        """Return the request, or the answer to a request that cannot be read."""
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers:
            return as_json({"error": "Content-Length required"}, 411)
        if not length.isascii() or not length.isdigit():
            return as_json({"error": "bad Content-Length"}, 400)
        if int(length) > MAX_BODY_BYTES:
            return as_json({"error": "body too large"}, 413)
        path, _, query = self.path.partition("?")
        host, port = self.server.server_address[:2]
        return Request(
            method=self.command,
            path=unquote(path),
            query=query,
            headers={name.lower(): value for name, value in self.headers.items()},
            body=self.rfile.read(int(length)),
            base_url=f"http://{self.headers.get('Host') or f'{host!s}:{port}'}",
            client=self.client_address[0],
            request_id=f"req_{secrets.token_hex(8)}",
        )

    def _write_reply(self, reply: Reply) -> None:
        if reply.portion == "nothing":
            self.close_connection = True
            return
        blob = self._build_head(reply.answer) + reply.answer.body
        if reply.portion == "half":
            blob = blob[: len(blob) - (len(reply.answer.body) + 1) // 2]
            self.close_connection = True
        self.wfile.write(blob)

    def _build_head(self, answer: Answer) -> bytes:
        lines = [
            f"HTTP/1.1 {answer.status} {_phrase_of(answer.status)}",
            f"Content-Type: {answer.content_type}",
            f"Content-Length: {len(answer.body)}",
            f"Date: {self.date_time_string()}",
            "X-Veza-Sandbox: 1",
            *(f"{name}: {value}" for name, value in answer.headers.items()),
        ]
        if self.close_connection:
            lines.append("Connection: close")
        # A line break in an echoed header must not start a second header.
        return "".join(f"{line.translate(_NO_BREAKS)}\r\n" for line in lines).encode("latin-1", "replace") + b"\r\n"


_NO_BREAKS = {13: " ", 10: " "}


def _phrase_of(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
