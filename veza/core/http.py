"""HTTP as both provider clients use it: one session a thread, bounded bodies, and what a status means for money."""

import threading
import time
from collections.abc import Container
from enum import Enum

import requests
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

CHUNK_BYTES = 16_384
# The provider did not accept our key: the request had no effect.
AUTH_STATUSES = frozenset({401, 403})
# A timeout, a conflict with another request, a replay guard, a rate limit: the request may still take effect.
_UNDECIDED = frozenset({408, 409, 425, 429})
# Unless a provider documents fewer.
REFUSAL_STATUSES = frozenset(range(400, 500)) - AUTH_STATUSES - _UNDECIDED

_local = threading.local()


class StatusClass(Enum):
    SUCCESS = "success"
    AUTH_REJECTED = "auth rejected"
    REFUSED = "refused"
    UNKNOWN = "unknown"


def classify_status(status: int, *, refusals: Container[int] = REFUSAL_STATUSES) -> StatusClass:
    """What an HTTP status says about the request, before its body is read. Everything doubtful is UNKNOWN.

    `refusals` are the statuses with which the provider definitely did nothing.
    """
    if 200 <= status < 300:
        return StatusClass.SUCCESS
    if status in AUTH_STATUSES:
        return StatusClass.AUTH_REJECTED
    return StatusClass.REFUSED if status in refusals else StatusClass.UNKNOWN


def session_for(provider: str, *, trust_env: bool = True) -> requests.Session:
    """This thread's session for `provider`; `trust_env` is whether it obeys proxies named in the environment."""
    sessions: dict[str, requests.Session] = _local.__dict__.setdefault("sessions", {})
    if provider not in sessions:
        sessions[provider] = requests.Session()
        sessions[provider].trust_env = trust_env
    return sessions[provider]


def read_bounded(response: requests.Response, *, limit: int, deadline: float) -> bytes | None:
    """The body, or None when it has more than `limit` bytes or is not complete by `deadline` (a monotonic time).

    The timeout of requests is for each read and not for the whole.
    """
    body = bytearray()
    for chunk in response.iter_content(CHUNK_BYTES):
        body += chunk
        if len(body) > limit or time.monotonic() > deadline:
            return None
    return bytes(body)


def never_connected(error: BaseException | None) -> bool:
    """Whether an error of requests says that no connection came about, so that nothing was sent."""
    reason = getattr(error.args[0], "reason", None) if error is not None and error.args else None
    return isinstance(reason, NewConnectionError | ConnectTimeoutError)
