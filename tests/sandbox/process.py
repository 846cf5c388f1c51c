"""Runs the sandbox in a separate process, for all tests that need it."""

from __future__ import annotations

import ctypes
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests

ROOT = Path(__file__).resolve().parents[2]
HYPERSWITCH_KEY = "snd_sandbox"
STRIPE_KEY = "sk_test_sandbox"
MERCHANT_ID = "merchant_sandbox"
START_SECONDS = 20
_PR_SET_PDEATHSIG = 1


class Sandbox:
    """Starts the process; `options` are those of the command line: `refund_delay_seconds=0.05`."""

    def __init__(self, **options: object) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="sandbox-")
        port_file = Path(self._folder.name) / "port"
        smtp_port_file = Path(self._folder.name) / "smtp-port"
        ports = ["--port-file", str(port_file), "--smtp-port-file", str(smtp_port_file)]
        command = [sys.executable, "-m", "sandbox", *ports, *_flags(options)]
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            preexec_fn=_die_with_the_test_process if sys.platform == "linux" else None,
        )
        self.url = f"http://127.0.0.1:{self._port(port_file)}"
        self.smtp_port = int(smtp_port_file.read_text())
        self.session = requests.Session()
        self.session.trust_env = False  # never through a proxy

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    def stop(self) -> int:
        """End the process and return its exit code."""
        self.session.close()
        self.process.terminate()
        try:
            return self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()
        finally:
            self._folder.cleanup()

    # Calls to the providers

    def hyperswitch(self, method: str, path: str, **options: Any) -> requests.Response:
        """`hyperswitch("POST", "/payments", json={...})` with the right API key."""
        headers = {"api-key": HYPERSWITCH_KEY, **options.pop("headers", {})}
        return self.session.request(method, self.url + path, headers=headers, timeout=30, **options)

    def stripe(self, method: str, path: str, *, key: str | None = None, **options: Any) -> requests.Response:
        """`stripe("POST", "/v1/transfers", key="t1", data={...})` with the right secret key."""
        headers = {"Authorization": f"Bearer {STRIPE_KEY}", **options.pop("headers", {})}
        if key:
            headers["Idempotency-Key"] = key
        return self.session.request(method, self.url + path, headers=headers, timeout=30, **options)

    # The control API

    def control(self, path: str, /, **json: Any) -> dict[str, Any]:
        """One call of the control API: `control("payments/pay_1", status="succeeded")`. Raises if refused."""
        return self._call("POST", f"/_control/{path}", json)

    def reset(self) -> None:
        self.control("reset")

    def settings(self, **changes: Any) -> dict[str, Any]:
        return self._call("PATCH", "/_control/settings", changes)

    def fault(self, fault: str, path: str, **options: Any) -> dict[str, Any]:
        """`fault("drop", "^/refunds$", method="POST", when="after")`, once, or `times` times."""
        return self._call("POST", "/_control/faults", {"fault": fault, "path": path, **options})

    def clear_faults(self) -> None:
        """Remove all faults, on the wire and for webhooks."""
        self._call("DELETE", "/_control/faults")
        self._call("DELETE", "/_control/webhook_faults")

    def webhook_fault(self, action: str, event_type: str, **options: Any) -> dict[str, Any]:
        return self.control("webhook_faults", action=action, event_type=event_type, **options)

    def truth(self) -> dict[str, Any]:
        return self._call("GET", "/_truth")

    def objects(self) -> dict[str, list[dict[str, Any]]]:
        """Every payment, refund, dispute and transfer as its provider has it now."""
        objects: dict[str, list[dict[str, Any]]] = self._call("GET", "/_truth/objects")
        return objects

    def calls(self) -> list[dict[str, Any]]:
        calls: list[dict[str, Any]] = self._call("GET", "/_truth/calls")["calls"]
        return calls

    def emails(self) -> list[dict[str, Any]]:
        """Every message that the mail server accepted, oldest first."""
        emails: list[dict[str, Any]] = self._call("GET", "/_truth/emails")["emails"]
        return emails

    def message_ids(self) -> list[str]:
        """The Message-ID of every message that the mail server accepted, oldest first."""
        message_ids: list[str] = self._call("GET", "/_truth/message_ids")["message_ids"]
        return message_ids

    def webhooks(self) -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = self._call("GET", "/_control/webhooks")["events"]
        return events

    def pay(self, payment_id: str, action: str = "pay") -> requests.Response:
        """Press a button of the hosted page: pay, decline or abandon. The redirect is not followed."""
        address = f"{self.url}/payment_link/{MERCHANT_ID}/{payment_id}"
        return self.session.post(address, data={"action": action}, allow_redirects=False, timeout=30)

    def create_account(self, *, active: bool = True, country: str = "DE", **fields: str) -> str:
        """A connected account that can be paid at once; returns its id."""
        names = ["transfers"]
        if fields.get("tos_acceptance[service_agreement]") != "recipient":
            names.append("card_payments")
        data = {"country": country, **{f"capabilities[{name}][requested]": "true" for name in names}, **fields}
        response = self.stripe("POST", "/v1/accounts", data=data)
        account_id: str = response.json()["id"]
        if active:
            self.control(f"accounts/{account_id}", transfers="active")
        return account_id

    def wait_for(self, condition: Callable[[], Any], *, seconds: float = 5) -> Any:
        """Poll until the result is true, and return it."""
        deadline = time.monotonic() + seconds
        while not (answer := condition()):
            if time.monotonic() > deadline:
                raise AssertionError(f"still {answer!r} after {seconds} s")
            time.sleep(0.02)
        return answer

    def _call(self, method: str, path: str, json: dict[str, Any] | None = None) -> dict[str, Any]:
        response = self.session.request(method, self.url + path, json=json, timeout=60)
        if not response.ok:
            raise AssertionError(f"{path}: {response.status_code} {response.text}")
        answer: dict[str, Any] = response.json()
        return answer

    def _port(self, port_file: Path) -> int:
        deadline = time.monotonic() + START_SECONDS
        while not port_file.exists():
            if self.process.poll() is not None:
                raise RuntimeError(f"the sandbox ended with {self.process.returncode}")
            if time.monotonic() > deadline:
                self.process.kill()
                raise RuntimeError(f"the sandbox was not ready after {START_SECONDS} s")
            time.sleep(0.02)
        return int(port_file.read_text())


def _flags(options: dict[str, object]) -> list[str]:
    """`activate_accounts=True` becomes `--activate-accounts`, `port=0` becomes `--port 0`."""
    flags: list[str] = []
    for name, value in options.items():
        flag = f"--{name.replace('_', '-')}"
        if value is not False and value is not None:
            flags += [flag] if value is True else [flag, str(value)]
    return flags


def _die_with_the_test_process() -> None:
    """A test process that is killed must not leave its sandbox behind."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
