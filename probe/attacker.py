"""Somebody who wants paid rights without paying: speaks HTTP to a running Veza, and knows nothing from inside."""

import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import requests

PATIENCE_SECONDS = 30
TRIES_WHEN_THROTTLED = 6
CLOSED = {401, 403, 404, 405}


class Undecided(Exception):
    """The probe cannot tell whether a door is open: no answer, or one that says nothing."""


@dataclass(frozen=True)
class Captured:
    """A delivery of the provider's that the attacker got hold of: its bytes and their signature."""

    body: str
    signature: str


@dataclass
class Attacker:
    """One account, and what its holder tries. `opened` are the doors found open, in words."""

    base_url: str
    email: str
    password: str
    captured: Captured | None = None
    _token: str = ""
    _session: requests.Session = field(default_factory=requests.Session)

    def log_in(self) -> None:
        said = self._expect(200, "POST", "auth/login", {"email": self.email, "password": self.password})
        self._token = str(said["access_token"])

    def become_seller(self) -> None:
        """Anybody may: so that only the plan stands between this account and selling."""
        self._expect(200, "POST", "me/creator")

    def plans(self) -> list[dict[str, Any]]:
        """Every plan that is offered, cheapest first."""
        said = self._expect(200, "GET", "subscriptions/plans?page_size=100")
        return sorted(said["results"], key=lambda plan: int(plan["price_minor"]))

    def standing(self) -> dict[str, Any]:
        return self._expect(200, "GET", "me/subscription")

    def subscribe(self, plan: dict[str, Any]) -> dict[str, Any]:
        """Subscribe, and return what the answer says; empty when it was refused."""
        status, said = self.call("POST", "subscriptions/subscribe", {"plan_id": plan["id"]})
        return said if status in (200, 201, 202) else {}

    def subscribe_at_once(self, plan: dict[str, Any], *, times: int) -> list[dict[str, Any]]:
        """Subscribe from several connections at the same moment, and return the answers that agreed."""
        with ThreadPoolExecutor(times) as pool:
            answers = list(pool.map(lambda _: Attacker.subscribe(self._twin(), plan), range(times)))
        return [said for said in answers if said]

    def complete(self, subscription_id: str) -> dict[str, Any]:
        status, said = self.call("POST", f"subscriptions/complete/{subscription_id}")
        return said if status in (200, 202) else {}

    def change(self, plan: dict[str, Any]) -> int:
        return self.call("POST", "subscriptions/change", {"plan_id": plan["id"]})[0]

    def cancel(self, *, now: bool) -> int:
        return self.call("POST", "subscriptions/cancel", {"now": now})[0]

    def come_back(self, payment_id: str) -> None:
        """Come back from the payment page as the browser of somebody who paid does."""
        query = {"status": "succeeded", "payment_id": payment_id}
        self._send("GET", f"{self.base_url}/paid", params=query)

    def deliver(self, body: bytes, signature: str | None) -> int:
        """Send a webhook as if we were the provider; the answer's status."""
        headers = {"Content-Type": "application/json"}
        if signature is not None:
            headers["x-webhook-signature-512"] = signature
        url = f"{self.base_url}/api/v1/webhooks/hyperswitch"
        return self._send("POST", url, data=body, headers=headers).status_code

    def open_doors(self) -> list[str]:
        """What this account may do now that only those who pay may do."""
        submission = {"title": "Probe", "artist": "Probe", "note": "Made by probe_unpaid_subscription."}
        offer = {"license": "personal", "price_minor": 100, "currency": "EUR", "tax_basis_points": 0, "rights": {}}
        product = {"title": "Probe", "description": "Made by probe_unpaid_subscription.", "offers": [offer]}
        doors = {
            "GET /distribution/eligibility": ("GET", "distribution/eligibility", None),
            "POST /distribution/submit": ("POST", "distribution/submit", submission),
            "POST /marketplace/products": ("POST", "marketplace/products", product),
        }
        opened = [name for name, (method, path, body) in doors.items() if self._is_open(name, method, path, body)]
        return opened + (["GET /me/subscription says active"] if self.standing()["active"] else [])

    def _is_open(self, name: str, method: str, path: str, body: dict[str, Any] | None) -> bool:
        status, said = self.call(method, path, body)
        if status in CLOSED:
            return False
        if not 200 <= status < 300:
            raise Undecided(f"{name} answered {status}, which says neither yes nor no.")
        if path == "marketplace/products":  # Nobody shall buy it.
            self.call("PATCH", f"{path}/{said['id']}", {"published": False})
        return True

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        """One call of the API with a key of its own; its status and JSON. Waits when told to."""
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        if method == "POST":
            headers["Idempotency-Key"] = str(uuid.uuid4())
        for _ in range(TRIES_WHEN_THROTTLED):
            answer = self._send(method, f"{self.base_url}/api/v1/{path}", json=body, headers=headers)
            if answer.status_code != 429:
                return answer.status_code, _json_of(answer)
            time.sleep(min(PATIENCE_SECONDS, int(answer.headers.get("Retry-After", "1"))))
        raise Undecided(f"{method} /{path} is throttled for longer than the probe waits.")

    def _expect(self, wanted: int, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        status, said = self.call(method, path, body)
        if status != wanted:
            raise Undecided(f"{method} /{path} answered {status} {said.get('code', '')}".strip() + f", not {wanted}.")
        return said

    def _send(self, method: str, url: str, **given: Any) -> requests.Response:
        try:
            return self._session.request(method, url, timeout=PATIENCE_SECONDS, allow_redirects=False, **given)
        except requests.RequestException as error:
            raise Undecided(f"{method} {url}: no answer ({type(error).__name__}).") from error

    def _twin(self) -> "Attacker":
        """The same account on a connection of its own."""
        return Attacker(self.base_url, self.email, self.password, _token=self._token)


def _json_of(answer: requests.Response) -> dict[str, Any]:
    try:
        said = answer.json()
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}
