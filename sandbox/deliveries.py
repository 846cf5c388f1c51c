"""Outgoing webhooks: delivery, retries, and on request loss, duplication, delay or hold."""

from __future__ import annotations

import itertools
import queue
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

from sandbox.clock import Scheduler, now, stamp
from sandbox.settings import Settings

SENDERS = 8
TIMEOUT_SECONDS = 30
ACTIONS = ("lose", "double", "delay", "hold")


class InvalidWebhookFault(ValueError):
    """Invalid parameters for a webhook fault."""


@dataclass
class Event:
    """One webhook. The body never changes: every attempt sends the same bytes."""

    event_id: str
    provider: str  # hyperswitch | stripe
    event_type: str
    object_id: str
    body: bytes
    sign: Callable[[bytes], dict[str, str]]
    created_at: str
    status: str = "waiting"  # waiting | held | lost | unsent | delivered | retrying | failed
    attempts: list[dict[str, Any]] = field(default_factory=list)
    retries: int = 0
    retry_planned: bool = False

    def as_json(self) -> dict[str, Any]:
        return {
            "event_id": self.event_id,
            "provider": self.provider,
            "event_type": self.event_type,
            "object_id": self.object_id,
            "status": self.status,
            "created_at": self.created_at,
            "attempts": self.attempts,
            "body": self.body.decode(),
        }


@dataclass
class WebhookFault:
    event_type: re.Pattern[str]
    action: str
    seconds: float
    times: int  # 0: until the next reset
    use_count: int = 0
    id: int = 0

    def as_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "event_type": self.event_type.pattern,
            "action": self.action,
            "seconds": self.seconds,
            "times": self.times,
            "used": self.use_count,
        }


class Deliveries:
    """All events, and the threads that send them. Guarded by the sandbox's only lock."""

    def __init__(self, lock: threading.RLock, scheduler: Scheduler, settings: Callable[[], Settings]) -> None:
        self._lock = lock
        self._scheduler = scheduler
        self._settings = settings
        self._numbers = itertools.count(1)
        self._ready: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self.events: dict[str, Event] = {}
        self.faults: list[WebhookFault] = []
        for number in range(SENDERS):
            threading.Thread(target=self._send_forever, name=f"webhooks-{number}", daemon=True).start()

    def clear(self) -> None:
        self.events.clear()
        self.faults.clear()

    def arm(self, params: dict[str, Any]) -> WebhookFault:
        fault = read_webhook_fault(params)
        fault.id = next(self._numbers)
        self.faults.append(fault)
        return fault

    def emit(self, event: Event) -> None:
        """Store an event and send it, unless a fault or the pause prevents that."""
        self.events[event.event_id] = event
        fault = self._take_fault(event.event_type)
        if fault and fault.action == "lose":
            event.status = "lost"
        elif self._settings().webhooks_paused or (fault and fault.action == "hold"):
            event.status = "held"
        elif fault and fault.action == "delay":
            self._scheduler.after(fault.seconds, lambda: self._ready.put(event))
        else:
            for _ in range(2 if fault and fault.action == "double" else 1):
                self._ready.put(event)

    def list_held(self) -> list[Event]:
        return [event for event in self.events.values() if event.status == "held"]

    def send(self, event: Event) -> dict[str, Any]:
        """One attempt, now and on this thread. Not under the lock: the receiver may call the sandbox."""
        with self._lock:
            settings, at = self._settings(), stamp(now())
        url = settings.hyperswitch_webhook_url if event.provider == "hyperswitch" else settings.stripe_webhook_url
        if not url:
            attempt = {"at": at, "status": None, "error": "no webhook url"}
        else:
            attempt = {"at": at, **post(url, event.body, event.sign(event.body))}
        with self._lock:
            self._record(event, attempt, settings.retry_schedule)
        return attempt

    def _record(self, event: Event, attempt: dict[str, Any], schedule: tuple[float, ...]) -> None:
        event.attempts.append(attempt)
        if attempt["status"] is not None and 200 <= attempt["status"] < 300:
            event.status = "delivered"
        elif event.status == "delivered":
            return  # a duplicate: one delivery is enough
        elif attempt["error"] == "no webhook url":
            event.status = "unsent"
        elif event.retry_planned:
            return
        elif event.retries < len(schedule):
            event.status, event.retry_planned = "retrying", True
            self._scheduler.after(schedule[event.retries], lambda: self._retry(event))
        else:
            event.status = "failed"

    def _retry(self, event: Event) -> None:
        with self._lock:
            event.retry_planned = False
            event.retries += 1
            is_due = event.status == "retrying" and self.events.get(event.event_id) is event
        if is_due:
            self._ready.put(event)

    def _send_forever(self) -> None:
        while True:
            event = self._ready.get()
            with self._lock:
                was_reset = self.events.get(event.event_id) is not event  # by a reset
            if not was_reset:
                self.send(event)

    def _take_fault(self, event_type: str) -> WebhookFault | None:
        fault = next((candidate for candidate in self.faults if candidate.event_type.search(event_type)), None)
        if fault:
            fault.use_count += 1
            if fault.use_count == fault.times:
                self.faults.remove(fault)
        return fault


def post(url: str, body: bytes, headers: dict[str, str]) -> dict[str, Any]:
    """Send once, without following redirects; an incomplete answer is an error."""
    parts = urlsplit(url)
    connect = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection: HTTPConnection | None = None
    try:
        connection = connect(parts.hostname or "", parts.port, timeout=TIMEOUT_SECONDS)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("POST", path, body, {**headers, "X-Veza-Sandbox": "1"})
        response = connection.getresponse()
        text = response.read(4_000).decode("utf-8", "replace")
    except (OSError, HTTPException, ValueError) as error:
        return {"status": None, "error": f"{type(error).__name__}: {error}"}
    else:
        return {"status": response.status, "error": None, "answer": text}
    finally:
        if connection:
            connection.close()


def read_webhook_fault(params: dict[str, Any]) -> WebhookFault:
    """Parse the parameters of a webhook fault. Raises InvalidWebhookFault."""
    if unknown := set(params) - {"event_type", "action", "seconds", "times"}:
        raise InvalidWebhookFault(f"unknown: {', '.join(sorted(unknown))}")
    if params.get("action") not in ACTIONS:
        raise InvalidWebhookFault(f"action is one of {', '.join(ACTIONS)}")
    try:
        return WebhookFault(
            event_type=re.compile(params.get("event_type", "")),
            action=params["action"],
            seconds=float(params.get("seconds", 1)),
            times=int(params.get("times", 1)),
        )
    except (re.error, TypeError, ValueError) as error:
        raise InvalidWebhookFault(str(error)) from None
