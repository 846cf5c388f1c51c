"""HTTP for the demo's buyer and sellers: JSON to Veza's API, a form to the payment page."""

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from email.message import Message
from typing import IO, Any

TIMEOUT_SECONDS = 15
MAX_PAGES = 50


class UnexpectedAnswer(Exception):
    """An unexpected status, or no answer."""


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> None:
        """Leave redirects to the caller: the payment page answers with one that need not be followed."""


# Everything is on this machine: a proxy from the environment could not reach it.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirects())


def exchange(
    method: str, url: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> tuple[int, bytes]:
    """Return the status and body of any answer. Raises UnexpectedAnswer when there is none."""
    request = urllib.request.Request(url, data=body, headers=headers or {}, method=method)  # noqa: S310 - our own URLs.
    try:
        with _opener.open(request, timeout=TIMEOUT_SECONDS) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()
    except OSError as error:
        raise UnexpectedAnswer(f"{method} {url}: no answer ({error})") from None


class Caller:
    """A client of the API, before or after logging in."""

    def __init__(self, base_url: str) -> None:
        self._api = f"{base_url}/api/v1"
        self._token = ""

    def log_in(self, email: str, password: str) -> None:
        credentials = {"email": email, "password": password}
        self._token = self.post("/auth/login", credentials, expected_status=200)["access_token"]

    def get(self, path: str) -> Any:
        return self._call("GET", path, None, {}, 200)

    def post(self, path: str, payload: dict[str, Any], *, expected_status: int, idempotency_key: str = "") -> Any:
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        return self._call("POST", path, payload, headers, expected_status)

    def rows(self, path: str) -> Iterator[dict[str, Any]]:
        """Yield the rows of all pages. Only the query of the next page's address is used."""
        query = ""
        for _page in range(MAX_PAGES):
            page = self.get(path + query)
            yield from page["results"]
            if not page["next"]:
                return
            query = "?" + urllib.parse.urlsplit(page["next"]).query

    def _call(self, method: str, path: str, payload: Any, headers: dict[str, str], expected_status: int) -> Any:
        headers = {"Accept": "application/json", "Content-Type": "application/json", **headers}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        body = None if payload is None else json.dumps(payload).encode()
        status, answer = exchange(method, self._api + path, body, headers)
        if status != expected_status:
            text = answer[:600].decode(errors="replace")
            raise UnexpectedAnswer(f"{method} {path} answered {status} instead of {expected_status}: {text}")
        return json.loads(answer)


def answers_ok(url: str) -> bool:
    """Tell whether a GET is answered with 200."""
    try:
        return exchange("GET", url)[0] == 200
    except UnexpectedAnswer:
        return False
