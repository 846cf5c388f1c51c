"""The operator's HTTP calls to Veza, with every exchange in the session log."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests

from acceptance.session_log import SessionLog

TIMEOUT_SECONDS = (5, 30)
MAX_LOGGED_CHARACTERS = 2_000
MAX_PAGES = 50
API = "/api/v1"


@dataclass(frozen=True)
class Answer:
    """An answer. Without one `status` is 0 and `error` names the cause."""

    status: int
    body: Any
    milliseconds: int
    request_id: str
    headers: dict[str, str]
    error: str = ""

    def summary(self) -> str:
        """The status and the API's message, on one line."""
        if not self.status:
            return f"no answer ({self.error})"
        if isinstance(self.body, dict) and self.body.get("detail"):
            return f"{self.status} {self.body.get('code', '')}: {self.body['detail']}"
        return f"{self.status} {str(self.body)[:200]}"


class Caller:
    """One user of Veza's API. Never raises for an error answer or a missing one."""

    def __init__(self, base_url: str, log: SessionLog) -> None:
        self.base_url, self._log = base_url.rstrip("/"), log
        self._session = requests.Session()
        self._credentials: tuple[str, str] | None = None
        self._token = ""
        self._request_count = 0

    def log_in(self, email: str, password: str) -> Answer:
        """Log in and store the token. It is renewed after it expires: paying may take an hour."""
        self._log.hide_secret(password)
        self._token = ""
        answer = self._send("POST", "/auth/login", {"email": email, "password": password}, {})
        if answer.status == 200 and isinstance(answer.body, dict) and answer.body.get("access_token"):
            self._credentials, self._token = (email, password), str(answer.body["access_token"])
        return answer

    def use_token(self, token: str) -> None:
        """Call with an access token that the operator brought. It is not renewed."""
        self._log.hide_secret(token)
        self._token = token

    def get(self, path: str) -> Answer:
        return self._call("GET", path, None, {})

    def post(self, path: str, payload: dict[str, Any], *, key: str) -> Answer:
        """Make a call that acts once: the same `key` returns the result of the first call."""
        return self._call("POST", path, payload, {"Idempotency-Key": key})

    def rows(self, path: str) -> Iterator[dict[str, Any]]:
        """The rows of all pages. Raises NoRows when an answer is not a page."""
        query = ""
        for _page in range(MAX_PAGES):
            answer = self.get(path + query)
            try:
                rows, next_url = answer.body["results"], answer.body["next"]
            except (TypeError, KeyError):
                raise NoRows(answer) from None
            yield from rows
            if not next_url:
                return
            query = "?" + urlsplit(next_url).query

    def page(self, url: str, form: dict[str, str] | None = None) -> Answer:
        """A page outside Veza, such as the payment page; `form` submits a form. No redirect is followed."""
        return self._exchange("POST" if form else "GET", url, {"data": form} if form else {}, payload=form)

    def _call(self, method: str, path: str, payload: Any, headers: dict[str, str]) -> Answer:
        answer = self._send(method, path, payload, headers)
        if answer.status == 401 and self._credentials and self.log_in(*self._credentials).status == 200:
            answer = self._send(method, path, payload, headers)
        return answer

    def _send(self, method: str, path: str, payload: Any, headers: dict[str, str]) -> Answer:
        self._request_count += 1
        headers = headers | {
            "X-Request-Id": f"e2e-{self._log.name}-{self._request_count}-{time.time_ns() % 1_000_000:06}"
        }
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        return self._exchange(
            method, self.base_url + API + path, {"json": payload, "headers": headers}, payload=payload, headers=headers
        )

    def _exchange(
        self, method: str, url: str, options: dict[str, Any], *, payload: Any, headers: dict[str, str] | None = None
    ) -> Answer:
        start = time.perf_counter()
        try:
            response = self._session.request(method, url, timeout=TIMEOUT_SECONDS, allow_redirects=False, **options)
            answer = _read_answer(response, _milliseconds_since(start))
        except requests.RequestException as error:
            answer = Answer(0, None, _milliseconds_since(start), "", {}, error=type(error).__name__)
        for name in ("access_token", "refresh_token", "client_secret"):
            if isinstance(answer.body, dict) and isinstance(answer.body.get(name), str):
                self._log.hide_secret(answer.body[name])
        self._log.write(
            "exchange",
            method=method,
            url=url,
            asked=payload,
            headers={name: value for name, value in (headers or {}).items() if name != "Authorization"},
            status=answer.status,
            answered=answer.body if not isinstance(answer.body, str) else answer.body[:MAX_LOGGED_CHARACTERS],
            request_id=answer.request_id,
            milliseconds=answer.milliseconds,
            why=answer.error,
        )
        return answer


class NoRows(Exception):
    """The answer is not a page of a list."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.summary())
        self.answer = answer


def _read_answer(response: requests.Response, milliseconds: int) -> Answer:
    try:
        body = response.json()
    except ValueError:
        body = response.text
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(response.status_code, body, milliseconds, headers.get("x-request-id", ""), headers)


def _milliseconds_since(start: float) -> int:
    return round((time.perf_counter() - start) * 1000)
