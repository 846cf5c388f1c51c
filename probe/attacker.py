"""An attacker who wants paid rights without paying: HTTP calls to a running Veza, no inside knowledge."""

import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import requests

PATIENCE_SECONDS = 30
THROTTLE_ATTEMPTS = 6
REFUSALS = {401, 403, 404, 405}


class Inconclusive(Exception):
    """The probe cannot tell whether access is granted: no answer, or an ambiguous one."""


@dataclass(frozen=True)
class CapturedDelivery:
    """A genuine webhook delivery that the attacker captured: its body and signature."""

    body: str
    signature: str


@dataclass
class Attacker:
    """One account, and the calls that its holder makes."""

    base_url: str
    email: str
    password: str
    capture: CapturedDelivery | None = None
    _token: str = ""
    _session: requests.Session = field(default_factory=requests.Session)

    def log_in(self) -> None:
        body = self._require(200, "POST", "auth/login", {"email": self.email, "password": self.password})
        self._token = str(body["access_token"])

    def become_seller(self) -> None:
        """Any user may become a seller; after this only the plan restricts selling."""
        self._require(200, "POST", "me/creator")

    def plans(self) -> list[dict[str, Any]]:
        """All plans on offer, cheapest first."""
        body = self._require(200, "GET", "subscriptions/plans?page_size=100")
        return sorted(body["results"], key=lambda plan: int(plan["price_minor"]))

    def standing(self) -> dict[str, Any]:
        return self._require(200, "GET", "me/subscription")

    def subscribe(self, plan: dict[str, Any]) -> dict[str, Any]:
        """Subscribe and return the answer; empty if it was refused."""
        status, body = self.call("POST", "subscriptions/subscribe", {"plan_id": plan["id"]})
        return body if status in (200, 201, 202) else {}

    def subscribe_at_once(self, plan: dict[str, Any], *, times: int) -> list[dict[str, Any]]:
        """Subscribe from several connections at once, and return the answers that were not refused."""
        with ThreadPoolExecutor(times) as pool:
            answers = list(pool.map(lambda _: Attacker.subscribe(self._clone(), plan), range(times)))
        return [body for body in answers if body]

    def complete(self, subscription_id: str) -> dict[str, Any]:
        status, body = self.call("POST", f"subscriptions/complete/{subscription_id}")
        return body if status in (200, 202) else {}

    def change(self, plan: dict[str, Any]) -> int:
        return self.call("POST", "subscriptions/change", {"plan_id": plan["id"]})[0]

    def cancel(self, *, now: bool) -> int:
        return self.call("POST", "subscriptions/cancel", {"now": now})[0]

    def come_back(self, payment_id: str) -> None:
        """Return from the payment page as a buyer's browser does after paying."""
        query = {"status": "succeeded", "payment_id": payment_id}
        self._send("GET", f"{self.base_url}/paid", params=query)

    def deliver(self, body: bytes, signature: str | None) -> int:
        """Send a webhook in the provider's place; return the status of the answer."""
        headers = {"Content-Type": "application/json"}
        if signature is not None:
            headers["x-webhook-signature-512"] = signature
        url = f"{self.base_url}/api/v1/webhooks/hyperswitch"
        return self._send("POST", url, data=body, headers=headers).status_code

    def open_doors(self) -> list[str]:
        """The paid features that this account can use now."""
        submission = {"title": "Probe", "artist": "Probe", "note": "Created by probe_unpaid_subscription."}
        offer = {"license": "personal", "price_minor": 100, "currency": "EUR", "tax_basis_points": 0, "rights": {}}
        product = {"title": "Probe", "description": "Created by probe_unpaid_subscription.", "offers": [offer]}
        calls = {
            "GET /distribution/eligibility": ("GET", "distribution/eligibility", None),
            "POST /distribution/submit": ("POST", "distribution/submit", submission),
            "POST /marketplace/products": ("POST", "marketplace/products", product),
        }
        doors = [name for name, (method, path, payload) in calls.items() if self._is_open(name, method, path, payload)]
        return doors + (["GET /me/subscription says active"] if self.standing()["active"] else [])

    def _is_open(self, name: str, method: str, path: str, payload: dict[str, Any] | None) -> bool:
        status, body = self.call(method, path, payload)
        if status in REFUSALS:
            return False
        if not 200 <= status < 300:
            raise Inconclusive(f"{name} answered {status}, which is neither success nor refusal.")
        if path == "marketplace/products":  # It must not be for sale.
            self.call("PATCH", f"{path}/{body['id']}", {"published": False})
        return True

    def call(self, method: str, path: str, payload: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        """Call the API with a new idempotency key; return status and JSON. Waits while throttled."""
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        if method == "POST":
            headers["Idempotency-Key"] = str(uuid.uuid4())
        for _ in range(THROTTLE_ATTEMPTS):
            answer = self._send(method, f"{self.base_url}/api/v1/{path}", json=payload, headers=headers)
            if answer.status_code != 429:
                return answer.status_code, _json_of(answer)
            time.sleep(min(PATIENCE_SECONDS, int(answer.headers.get("Retry-After", "1"))))
        raise Inconclusive(f"{method} /{path} is throttled for longer than the probe waits.")

    def _require(self, expectation: int, method: str, path: str, payload: Any = None) -> dict[str, Any]:
        status, body = self.call(method, path, payload)
        if status != expectation:
            answer = f"{status} {body.get('code', '')}".strip()
            raise Inconclusive(f"{method} /{path} answered {answer}, not {expectation}.")
        return body

    def _send(self, method: str, url: str, **options: Any) -> requests.Response:
        try:
            return self._session.request(method, url, timeout=PATIENCE_SECONDS, allow_redirects=False, **options)
        except requests.RequestException as error:
            raise Inconclusive(f"{method} {url}: no answer ({type(error).__name__}).") from error

    def _clone(self) -> "Attacker":
        """The same account on a separate connection."""
        return Attacker(self.base_url, self.email, self.password, _token=self._token)


def _json_of(answer: requests.Response) -> dict[str, Any]:
    try:
        body = answer.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
