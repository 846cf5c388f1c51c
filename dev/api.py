"""The HTTP that the demo's buyer and sellers speak: JSON to our API, a form to the payment page."""

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from email.message import Message
from typing import IO, Any

TIMEOUT_SECONDS = 15
MAX_PAGES = 50


class Unexpected(Exception):
    """An answer other than the one that was asked for, or none at all."""


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> None:
        """Leave a redirect to the caller: the payment page answers with one, and nobody needs to follow."""


# Everything is on this machine: a proxy that the environment names would be asked in vain.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirects())


def exchange(
    method: str, url: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> tuple[int, bytes]:
    """Return the status and body of the answer, whatever it is. Raises Unexpected when there is none."""
    request = urllib.request.Request(url, data=body, headers=headers or {}, method=method)  # noqa: S310 - our own URLs.
    try:
        with _opener.open(request, timeout=TIMEOUT_SECONDS) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()
    except OSError as error:
        raise Unexpected(f"{method} {url}: no answer ({error})") from None


class Caller:
    """Somebody who calls the API, before or after logging in."""

    def __init__(self, base_url: str) -> None:
        self._api = f"{base_url}/api/v1"
        self._token = ""

    def log_in(self, email: str, password: str) -> None:
        self._token = self.post("/auth/login", {"email": email, "password": password}, expected=200)["access_token"]

    def get(self, path: str) -> Any:
        return self._call("GET", path, None, {}, 200)

    def post(self, path: str, payload: dict[str, Any], *, expected: int, idempotency_key: str = "") -> Any:
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        return self._call("POST", path, payload, headers, expected)

    def rows(self, path: str) -> Iterator[dict[str, Any]]:
        """Yield the rows of all pages. The next page's address is followed by its query alone."""
        query = ""
        for _page in range(MAX_PAGES):
            page = self.get(path + query)
            yield from page["results"]
            if not page["next"]:
                return
            query = "?" + urllib.parse.urlsplit(page["next"]).query

    def _call(self, method: str, path: str, payload: Any, headers: dict[str, str], expected: int) -> Any:
        headers = {"Accept": "application/json", "Content-Type": "application/json", **headers}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        body = None if payload is None else json.dumps(payload).encode()
        status, answer = exchange(method, self._api + path, body, headers)
        if status != expected:
            text = answer[:600].decode(errors="replace")
            raise Unexpected(f"{method} {path} answered {status} instead of {expected}: {text}")
        return json.loads(answer)


def answers_ok(url: str) -> bool:
    """Tell whether a GET is answered with 200."""
    try:
        return exchange("GET", url)[0] == 200
    except Unexpected:
        return False
