"""A server that answers exactly the bytes a test gives it, and records the requests."""

import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl


@dataclass
class RecordedRequest:
    method: str
    path: str
    headers: dict[str, str]
    form: dict[str, str]


@dataclass
class RawStripe:
    """`status` and `body` are what it answers; with `cut` the connection ends in the middle of the body."""

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False
    silent: bool = False
    seconds: float = 0.0
    requests: list[RecordedRequest] = field(default_factory=list)

    def start(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _handler(raw: RawStripe) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            form = dict(parse_qsl(self.rfile.read(length).decode()))
            raw.requests.append(RecordedRequest(self.command, self.path, dict(self.headers), form))
            time.sleep(raw.seconds)
            if raw.silent:
                self.close_connection = True
                return
            self.send_response(raw.status)
            for name, value in raw.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(raw.body) + (100 if raw.cut else 0)))
            self.end_headers()
            self.wfile.write(raw.body)
            self.close_connection = True

        do_GET = do_POST = answer  # noqa: N815

        def log_message(self, *_args: object) -> None:
            """Nothing on the terminal."""

    return Handler
