"""The HTTP that an operator speaks to Veza, with every exchange in the session log."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests

from acceptance.session_log import SessionLog

TIMEOUT_SECONDS = (5, 30)
KEPT_CHARACTERS = 2_000
MAX_PAGES = 50
API = "/api/v1"


@dataclass(frozen=True)
class Answer:
    """What came back. `status` is 0 when nothing did, and `why` says why."""

    status: int
    body: Any
    milliseconds: int
    request_id: str
    headers: dict[str, str]
    why: str = ""

    def in_short(self) -> str:
        """For a person: the status, and what the API said about it."""
        if not self.status:
            return f"no answer ({self.why})"
        if isinstance(self.body, dict) and self.body.get("detail"):
            return f"{self.status} {self.body.get('code', '')}: {self.body['detail']}"
        return f"{self.status} {str(self.body)[:200]}"


class Caller:
    """One person at Veza's API. Never raises for what the other side answers, or does not answer."""

    def __init__(self, base_url: str, log: SessionLog) -> None:
        self.base_url, self._log = base_url.rstrip("/"), log
        self._session = requests.Session()
        self._who: tuple[str, str] | None = None
        self._token = ""
        self._asked = 0

    def log_in(self, email: str, password: str) -> Answer:
        """Log in, and keep the token. It is fetched anew when it has run out: a person may take an hour to pay."""
        self._log.hide(password)
        self._token = ""
        answer = self._send("POST", "/auth/login", {"email": email, "password": password}, {})
        if answer.status == 200 and isinstance(answer.body, dict) and answer.body.get("access_token"):
            self._who, self._token = (email, password), str(answer.body["access_token"])
        return answer

    def get(self, path: str) -> Answer:
        return self._call("GET", path, None, {})

    def post(self, path: str, payload: dict[str, Any], *, key: str) -> Answer:
        """Ask for something to be done, once: the same `key` finds what the first call did."""
        return self._call("POST", path, payload, {"Idempotency-Key": key})

    def rows(self, path: str) -> Iterator[dict[str, Any]]:
        """The rows of all pages. Raises NoRows when a page is not one."""
        query = ""
        for _page in range(MAX_PAGES):
            answer = self.get(path + query)
            try:
                rows, following = answer.body["results"], answer.body["next"]
            except (TypeError, KeyError):
                raise NoRows(answer) from None
            yield from rows
            if not following:
                return
            query = "?" + urlsplit(following).query

    def page(self, url: str, form: dict[str, str] | None = None) -> Answer:
        """A page of somebody else's, such as the payment page; `form` presses a button. No redirect is followed."""
        return self._exchange("POST" if form else "GET", url, {"data": form} if form else {}, shown=form)

    def _call(self, method: str, path: str, payload: Any, headers: dict[str, str]) -> Answer:
        answer = self._send(method, path, payload, headers)
        if answer.status == 401 and self._who and self.log_in(*self._who).status == 200:
            answer = self._send(method, path, payload, headers)
        return answer

    def _send(self, method: str, path: str, payload: Any, headers: dict[str, str]) -> Answer:
        self._asked += 1
        headers = headers | {"X-Request-Id": f"e2e-{self._log.name}-{self._asked}-{time.time_ns() % 1_000_000:06}"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        return self._exchange(
            method, self.base_url + API + path, {"json": payload, "headers": headers}, shown=payload, named=headers
        )

    def _exchange(
        self, method: str, url: str, options: dict[str, Any], *, shown: Any, named: dict[str, str] | None = None
    ) -> Answer:
        started = time.perf_counter()
        try:
            response = self._session.request(method, url, timeout=TIMEOUT_SECONDS, allow_redirects=False, **options)
            answer = _answer(response, _since(started))
        except requests.RequestException as error:
            answer = Answer(0, None, _since(started), "", {}, why=type(error).__name__)
        for name in ("access_token", "refresh_token", "client_secret"):
            if isinstance(answer.body, dict) and isinstance(answer.body.get(name), str):
                self._log.hide(answer.body[name])
        self._log.write(
            "exchange",
            method=method,
            url=url,
            asked=shown,
            headers={name: value for name, value in (named or {}).items() if name != "Authorization"},
            status=answer.status,
            answered=answer.body if not isinstance(answer.body, str) else answer.body[:KEPT_CHARACTERS],
            request_id=answer.request_id,
            milliseconds=answer.milliseconds,
            why=answer.why,
        )
        return answer


class NoRows(Exception):
    """A list was asked for, and something else came back."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.in_short())
        self.answer = answer


def _answer(response: requests.Response, milliseconds: int) -> Answer:
    try:
        body = response.json()
    except ValueError:
        body = response.text
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(response.status_code, body, milliseconds, headers.get("x-request-id", ""), headers)


def _since(started: float) -> int:
    return round((time.perf_counter() - started) * 1000)
