"""The state of the sandbox, under one lock."""

from __future__ import annotations

import threading
from collections.abc import Callable

from sandbox.clock import Scheduler
from sandbox.deliveries import Deliveries
from sandbox.faults import Faults
from sandbox.hyperswitch.objects import Customer, Dispute, Payment, Refund
from sandbox.mail.mailbox import Mailbox
from sandbox.settings import Settings
from sandbox.stripe.keys import KeyTable
from sandbox.stripe.objects import Account, Onboarding, Payout, Transfer
from sandbox.truth import Truth

PLATFORM = None  # the owner of the platform's balance; other owners are account ids
Balances = dict[str | None, dict[str, int]]


class World:
    """Hold `lock` while reading or writing anything here."""

    def __init__(self, settings: Settings) -> None:
        self.lock = threading.RLock()
        self.scheduler = Scheduler()
        self._initial_settings = settings
        self.settings = settings
        self.deliveries = Deliveries(self.lock, self.scheduler, lambda: self.settings)
        self.reset()

    def reset(self) -> None:
        """Clear everything, settings included."""
        self.settings = self._initial_settings
        self.scheduler.clear()
        self.deliveries.clear()
        self.faults = Faults()
        self.truth = Truth()
        self.keys = KeyTable()
        self.mailbox = Mailbox()
        self.announcements: set[tuple[str, str]] = set()  # (object id, event type): each at most once
        self.payments: dict[str, Payment] = {}
        self.refunds: dict[str, Refund] = {}
        self.disputes: dict[str, Dispute] = {}
        self.customers: dict[str, Customer] = {}
        self.transfers: dict[str, Transfer] = {}
        self.accounts: dict[str, Account] = {}
        self.payouts: dict[str, Payout] = {}
        self.onboardings: dict[str, Onboarding] = {}
        self.balances: Balances = {PLATFORM: {"eur": self.settings.platform_balance_minor}}

    def balance(self, owner: str | None, currency: str) -> int:
        return self.balances.get(owner, {}).get(currency, 0)

    def add_to_balance(self, owner: str | None, currency: str, amount: int) -> None:
        balances = self.balances.setdefault(owner, {})
        balances[currency] = balances.get(currency, 0) + amount

    def later(self, seconds: float, job: Callable[[], None]) -> None:
        """Run `job` under the lock after a delay; a reset cancels it."""
        truth = self.truth

        def run_job() -> None:
            with self.lock:
                if self.truth is truth:
                    job()

        self.scheduler.after(seconds, run_job)
