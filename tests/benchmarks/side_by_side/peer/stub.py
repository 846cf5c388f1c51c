"""Stripe as far as the peer asks it: `python -m ...peer.stub PORT` answers every GET with the object of that id."""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        kind, _, key = self.path.partition("?")[0].removeprefix("/v1/").partition("/")
        raw = json.dumps(thing(kind, key)).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_: object) -> None:
        """Nothing: a line a request would be measured as the peer's."""


def thing(kind: str, key: str) -> dict[str, object]:
    """One object of Stripe's, as small as the peer accepts it."""
    if kind == "payment_intents":
        return {
            "id": key,
            "object": "payment_intent",
            "amount": 1_800,
            "amount_received": 1_800,
            "amount_capturable": 0,
            "capture_method": "automatic",
            "client_secret": f"{key}_secret_1",
            "confirmation_method": "automatic",
            "created": 1_790_000_000,
            "currency": "eur",
            "livemode": False,
            "metadata": {},
            "payment_method_types": ["card"],
            "status": "succeeded",
        }
    return {"id": key or "acct_benchmark", "object": "account", "livemode": False, "metadata": {}}


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
