"""One walk's world: sellers and buyers, both providers in the sandbox, the mail between them and Veza, and the clock.

The sandbox holds every webhook; the walk decides which are delivered, when, how often, and in which order. Time passes
by moving our rows into the past, never by waiting.
"""

import random
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import F, Model, Q
from django.test import Client
from django.utils import timezone

from connect.models import ConnectedAccount, SellerPayout, SellerTransfer, TransferReversal
from marketplace.models import LicenseOffer, Order, Product, RefundApplication, SellerRestriction
from payments.models import Dispute, Payment, Refund, WebhookDelivery
from subscriptions.models import Plan, Subscription
from tests import buying
from tests.connect import stripe_deliveries
from tests.connect.factories import make_seller
from tests.database_roles import as_owner
from tests.factories import OfferFactory, PersonFactory, ProductFactory
from tests.sandbox.process import Sandbox
from tests.subscriptions.subscribing import PlanFactory
from veza.celery import app
from veza.core.models import Heartbeat, ProviderCall, ReviewItem, User
from veza.schedule import SWEEPS

# The columns that move into the past when time passes: when a row is due, and what decides how old it is.
CLOCKS: dict[type[Model], tuple[str, ...]] = {
    Payment: (
        "created_at",
        "first_sent_at",
        "next_attempt_at",
        "close_due_at",
        "closing_started_at",
        "contradicted_at",
        "last_read_at",
        "amount_missing_since",
    ),
    Order: ("completed_at", "refund_deadline"),
    Refund: ("created_at", "first_sent_at", "next_attempt_at", "send_after", "contradicted_at", "last_read_at"),
    Dispute: ("created_at", "next_attempt_at"),
    WebhookDelivery: ("received_at", "next_attempt_at"),
    SellerTransfer: ("created_at", "next_retry_at", "in_doubt_since", "refresh_due_at"),
    TransferReversal: ("first_sent_at",),
    SellerPayout: ("created_at", "acknowledged_at", "first_sent_at", "next_attempt_at"),
    ConnectedAccount: ("refresh_due_at",),
    ProviderCall: ("at",),
    Subscription: ("due_at",),
    RefundApplication: ("created_at", "due_at"),
    SellerRestriction: ("since_at", "review_at", "ended_at"),
    Product: ("taken_off_sale_at",),
    User: ("closed_at",),
}
# One for all walks: a new one loads every middleware again.
CLIENT = Client()
KEYS_ARE_KEPT_FOR = timedelta(hours=24)
app.loader.import_default_modules()
# What counts, cleans or proves moves no money: the oracle proves the ledger itself.
MONEY_SWEEPS = [name for name in SWEEPS if not name.startswith("backoffice.") and "clean" not in name]
PRICES = (1_00, 9_99, 10_00, 25_00, 3)
OWN_ERRORS = ("AssertionError", "IllegalMove", "StaleState", "IntegrityError", "KeyError", "TypeError", "ValueError")


class World:
    """`rng` is the present step's own: a step does the same in a shorter walk."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox, self.rng = sandbox, random.Random(0)
        # Banks answer when a step says so.
        sandbox.settings(refund_outcome="stay_pending", payout_delay_seconds=3600)
        self.bugs: list[str] = []
        # What finance entered for a success without an amount: {payment's id: (minor units, currency)}.
        self.entered: dict[str, tuple[int, str]] = {}
        # The last three belong to the sellers, one to each.
        self.buyers: list[User] = [PersonFactory() for _ in range(5)]
        self.puppets = self.buyers[2:]
        self.support: User = User.objects.create_superuser("support@staff.example", "secret")
        self.sellers = [make_seller(stripe_account_id=sandbox.create_account()) for _ in range(2)]
        self.sellers.append(make_seller(stripe_account_id=sandbox.create_account(active=False), active=False))
        ConnectedAccount.objects.filter(transfers_active=True).update(payouts_enabled=True)
        # Whether a step of the provider's has emptied a balance: then no payout explains what is missing there.
        self.has_drained = False
        self.offers = self._offers()
        self.exclusive = self.offers[-1]
        self.plan: Plan = PlanFactory()
        self._deliveries = {event["event_id"]: 0 for event in sandbox.webhooks()}
        self._numbers = 0

    def _offers(self) -> list[LicenseOffer]:
        works = [ProductFactory(seller=seller) for seller in self.sellers for _ in range(3)]
        taxes = (2_000, 0, 700)
        offers = [
            OfferFactory(product=work, price_minor=PRICES[place % len(PRICES)], tax_basis_points=taxes[place % 3])
            for place, work in enumerate(works)
        ]
        return [*offers, OfferFactory(product=works[0], license="exclusive", price_minor=50_00)]

    def number(self) -> int:
        """A new number, for ids that sort by their age."""
        self._numbers += 1
        return self._numbers

    # Mail

    def mail(self) -> list[dict[str, Any]]:
        """Every webhook that no step has delivered, the oldest first."""
        return [event for event in self.sandbox.webhooks() if event["event_id"] not in self._deliveries]

    def old_mail(self) -> list[dict[str, Any]]:
        return [event for event in self.sandbox.webhooks() if self._deliveries.get(event["event_id"])]

    def deliver(self, event: dict[str, Any]) -> str:
        """Post a webhook's own bytes to Veza; returns the result. An error of ours is a bug."""
        self._deliveries[event["event_id"]] = self._deliveries.get(event["event_id"], 0) + 1
        raw = event["body"].encode()
        if event["provider"] == "hyperswitch":
            address, headers = buying.WEBHOOK, {"x-webhook-signature-512": buying.signed(raw)}
        else:
            address, headers = stripe_deliveries.WEBHOOK, {"Stripe-Signature": stripe_deliveries.signature(raw)}
        response = CLIENT.post(address, data=raw, content_type="application/json", headers=headers)
        result = str(response.json()["result"])
        if response.status_code >= 400:
            self.bugs.append(f"{event['event_type']} was answered {response.status_code}: {result}")
        return f"{event['event_type']}: {result}"

    def deliver_all(self) -> None:
        """Everything that is on its way, in its order."""
        for event in self.mail():
            self.deliver(event)

    # Time and workers

    def pass_time(self, span: timedelta) -> None:
        """Move every clock of ours on by `span`. Stripe forgets its keys after a day."""
        for model, columns in CLOCKS.items():
            model._default_manager.update(**{column: F(column) - span for column in columns})
        if span >= KEYS_ARE_KEPT_FOR:
            self.sandbox.control("forget_idempotency_keys")

    def sweep(self, *names: str) -> None:
        """Run these sweeps, or all of them as beat would. A row that raises is a bug, and so is a seller who is paid of
        money in doubt, or that staff hold.
        """
        started_at, doubtful = timezone.now(), _orders_in_doubt()
        sent_before, paid_before = self._transfers_of(doubtful), self._paid_to_held_sellers()
        for name in names or MONEY_SWEEPS:
            app.tasks[name].run()
        for transfer_id in self._transfers_of(doubtful & _orders_in_doubt()) - sent_before:
            self.bugs.append(f"transfer {transfer_id} was sent while the money of its order was in doubt")
        for transfer_id in self._paid_to_held_sellers() - paid_before:
            self.bugs.append(f"transfer {transfer_id} was sent while staff held its seller's money")
        for heartbeat in Heartbeat.objects.filter(beat_at__gte=started_at, failed__gt=0):
            if any(error in heartbeat.last_error for error in OWN_ERRORS):
                self.bugs.append(f"{heartbeat.name}: {heartbeat.last_error}")

    def _transfers_of(self, order_ids: set[UUID]) -> set[str]:
        """The transfers of these orders that Stripe has, or may have."""
        if not order_ids:
            return set()
        unanswered = SellerTransfer.objects.filter(order__in=order_ids, in_doubt_since__isnull=False)
        names = {str(order_id) for order_id in order_ids}
        there = (one["metadata"] for one in self.remote("transfers"))
        return {str(pk) for pk in unanswered.values_list("pk", flat=True)} | {
            metadata["transfer_id"] for metadata in there if metadata.get("order_id") in names
        }

    def _paid_to_held_sellers(self) -> set[str]:
        """The transfers to sellers whose money staff hold now, by Stripe's ids."""
        held = SellerRestriction.objects.in_force().values("seller")
        accounts = ConnectedAccount.objects.filter(seller__in=held).values_list("stripe_account_id", flat=True)
        keys = set(accounts)
        return {one["id"] for one in self.remote("transfers") if one["destination"] in keys} if keys else set()

    # What the providers have

    def remote(self, kind: str) -> list[dict[str, Any]]:
        """The providers' `payments`, `refunds`, `disputes` or `transfers` as they are there now."""
        return self.sandbox.objects()[kind]

    def payments_there(self, *statuses: str) -> list[dict[str, Any]]:
        return [payment for payment in self.remote("payments") if payment["status"] in statuses]

    def refundable_there(self, payment: dict[str, Any]) -> int:
        """What the provider would still refund of a payment."""
        refunds = [one for one in self.remote("refunds") if one["payment_id"] == payment["payment_id"]]
        taken = sum(one["amount"] for one in refunds if one["status"] != "failed")
        return (payment["amount_received"] or 0) - taken

    def pay_order(self, order_id: UUID) -> None:
        """The buyer pays on the order's page, if it has one."""
        payment = Payment.objects.of(Payment.Purpose.ORDER, order_id).first()
        if payment is not None and any(one["payment_id"] == payment.provider_key for one in self.remote("payments")):
            self.sandbox.pay(payment.provider_key)

    def balance_of(self, seller: User) -> int:
        """What the seller's account at Stripe has, in cents."""
        accounts = self.sandbox.truth()["balances"]["accounts"]
        account = ConnectedAccount.objects.get(seller=seller).stripe_account_id
        return int(accounts.get(account, {}).get("eur", 0))

    def open_payouts(self) -> list[str]:
        """The payouts that a bank may still answer, by Stripe's ids."""
        rows = SellerPayout.objects.filter(external_payout_id__isnull=False).exclude(status__in=("failed", "cancelled"))
        return [str(key) for key in rows.order_by("pk").values_list("external_payout_id", flat=True)]

    def balances(self) -> Iterator[tuple[str | None, str]]:
        """The owner of each of Stripe's balances, and its name."""
        yield None, "the platform"
        for account in ConnectedAccount.objects.order_by("pk"):
            yield account.stripe_account_id, str(account.stripe_account_id)


def _orders_in_doubt() -> set[UUID]:
    """Orders whose money may not be there: Hyperswitch contradicts a success, or it is not known how much is left."""
    is_contradicted = Q(contradicted_at__isnull=False) | Q(status="mismatched", succeeded_at__isnull=False)
    rows = Payment.objects.filter(is_contradicted, purpose="order").values_list("purpose_id", flat=True)
    items = ReviewItem.objects.filter(kind="amount_in_doubt", closed_at=None)
    return {*rows, *items.values_list("correlation_id", flat=True)}


def open_shop(sandbox: Sandbox, settings: Any) -> World:
    """A world in which nothing has happened yet."""
    settings.STRIPE_WEBHOOK_SECRETS = [stripe_deliveries.SECRET]
    # Undone with the walk: a restriction's dates never change, and time passes.
    with as_owner(), connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {SellerRestriction._meta.db_table} DISABLE TRIGGER USER")
    settings.SELF_SERVICE_REFUNDS_PER_30_DAYS = 1  # A walk has six orders: some requests are for support to decide.
    return World(sandbox)
