"""Everything the sandbox remembers, under one lock."""

from __future__ import annotations

import threading
from collections.abc import Callable

from sandbox.clock import Scheduler
from sandbox.deliveries import Deliveries
from sandbox.faults import Faults
from sandbox.hyperswitch.objects import Customer, Dispute, Payment, Refund
from sandbox.settings import Settings
from sandbox.stripe.keys import KeyTable
from sandbox.stripe.objects import Account, Onboarding, Payout, Transfer
from sandbox.truth import Truth

PLATFORM = None  # whose balance: the platform's; else an account id
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
        """Forget everything, settings included."""
        self.settings = self._initial_settings
        self.scheduler.clear()
        self.deliveries.clear()
        self.faults = Faults()
        self.truth = Truth()
        self.keys = KeyTable()
        self.announced: set[tuple[str, str]] = set()  # (object id, event type): once ever
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
        of_owner = self.balances.setdefault(owner, {})
        of_owner[currency] = of_owner.get(currency, 0) + amount

    def later(self, seconds: float, job: Callable[[], None]) -> None:
        """Run `job` under the lock in a while; a reset forgets it."""
        truth = self.truth

        def guarded() -> None:
            with self.lock:
                if self.truth is truth:
                    job()

        self.scheduler.after(seconds, guarded)
