"""The rows of a story and of a person, floor by floor, as the pages show them."""

from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

from connect.balance import balances_of
from connect.models import ConnectedAccount, SellerTransfer, TransferReversal
from marketplace.models import License, Order
from payments.accounts import seller_account
from payments.models import Dispute, Payment, Posting, Refund, WebhookDelivery
from payments.timeline import account_names
from subscriptions.models import Subscription
from veza.backoffice.models import StaffAct
from veza.core.admin_columns import (
    Panel,
    age,
    amount,
    badge,
    column,
    moment,
    money,
    panel,
    person,
    short_id,
    status,
)
from veza.core.models import OperatorCase, StatusChange, User
from veza.core.money import written
from veza.core.timeline import TimelineLine

# A person reads the newest; the lists have the rest.
SHOWN = 20
REMEMBERED = 100


def panels_of(story_id: UUID) -> list[Panel]:
    """Every row of the story, each leading to its page; kinds of which there is none are left out."""
    return [each for each in _panels(story_id) if each.lines]


def _panels(story_id: UUID) -> Iterator[Panel]:
    yield panel("Order", Order.objects.filter(pk=story_id), [short_id, money("total"), status, age])
    yield panel("Subscription", Subscription.objects.filter(pk=story_id), [short_id, status, age])
    received, refunded = money("received"), money("refunded")
    payments = Payment.objects.filter(story_id=story_id).order_by("pk")
    yield panel("Payments", payments, [short_id, amount, status, received, refunded, age])
    refunds = Refund.objects.filter(story_id=story_id).order_by("pk")
    yield panel("Refunds", refunds, [short_id, amount, status, column("asked by")(lambda row: row.source), age])
    yield panel("Disputes", Dispute.objects.filter(story_id=story_id).order_by("pk"), [short_id, amount, status, age])
    licenses = License.objects.filter(order=story_id).select_related("item").order_by("pk")
    yield panel("Licences", licenses, [short_id, column("work")(lambda row: row.item.title), status, age])
    transfers = SellerTransfer.objects.filter(order=story_id).select_related("seller").order_by("pk")
    taken_back = money("reversed", "taken back")
    yield panel("Transfers to sellers", transfers, [short_id, person("seller"), amount, status, taken_back])
    reversals = TransferReversal.objects.filter(story_id=story_id).order_by("pk")
    yield panel("Taken back from sellers", reversals, [short_id, amount, status, age])
    deliveries = WebhookDelivery.objects.filter(story_id=story_id).order_by("received_at")
    yield panel("Raw deliveries", deliveries, [moment("received_at", "received"), event, result])
    cases = OperatorCase.objects.filter(story_id=story_id).order_by("pk")
    yield panel("Cases", cases, [column("kind")(lambda row: row.kind.replace("_", " ")), status, why])


@column("event")
def event(delivery: WebhookDelivery) -> str:
    return delivery.event_type or "unreadable"


@column("result")
def result(delivery: WebhookDelivery) -> Any:
    return badge(delivery.processing_result.partition(":")[0])


@column("why")
def why(case: OperatorCase) -> str:
    return case.why


def panels_of_person(somebody: User) -> list[Panel]:
    """What somebody bought, subscribed to, sold and was paid; the newest of each."""
    return [each for each in [_balances(somebody), *_panels_of_person(somebody)] if each.lines]


def _panels_of_person(somebody: User) -> Iterator[Panel]:
    orders = Order.objects.filter(buyer=somebody).order_by("-created_at")[:SHOWN]
    yield panel("Orders", orders, [short_id, money("total"), status, age])
    own = Subscription.objects.filter(user=somebody).select_related("plan").order_by("-created_at")[:SHOWN]
    plan = column("plan")(lambda row: row.plan.name)
    yield panel("Subscriptions", own, [short_id, plan, status, moment("period_end_at", "until"), age])
    accounts = ConnectedAccount.objects.filter(seller=somebody)
    can_receive = column("can be paid")(lambda row: "yes" if row.can_receive() else "not yet")
    yield panel("Account at Stripe", accounts, [column("account")(lambda row: row.stripe_account_id), can_receive])
    transfers = SellerTransfer.objects.filter(seller=somebody).order_by("-created_at")[:SHOWN]
    yield panel("Transfers", transfers, [short_id, amount, status, money("reversed", "taken back"), age])


def _balances(somebody: User) -> Panel:
    held = balances_of(somebody.pk) if somebody.seller_since_at else []
    lines = [
        ("", [written(each.available_minor, each.currency), written(each.debt_minor, each.currency)]) for each in held
    ]
    return Panel("What we hold for them, and what they owe us", ["to be sent", "owed to us"], lines)


def timeline_of_person(somebody: User) -> list[TimelineLine]:
    """What happened to a seller's money lately, oldest first; nothing for somebody who sells nothing."""
    if somebody.seller_since_at is None:
        return []
    transfers = list(SellerTransfer.objects.filter(seller=somebody).order_by("-created_at")[:REMEMBERED])
    told = [*_moves(transfers), *_postings(somebody)]
    return sorted(told, key=lambda line: line.at)[-REMEMBERED:]


def _moves(transfers: Sequence[SellerTransfer]) -> list[TimelineLine]:
    amounts = {row.pk: row.amount() for row in transfers}
    changes = StatusChange.objects.filter(subject_id__in=amounts).order_by("-id")[:REMEMBERED]
    return [
        TimelineLine(
            change.at,
            f"The transfer {str(change.subject_id)[-8:]} of {amounts[change.subject_id]} went from "
            f"{change.from_status} to {change.to_status} (by {change.actor or change.cause_kind}).".replace("_", " "),
            "move",
        )
        for change in changes
    ]


def _postings(somebody: User) -> list[TimelineLine]:
    account = seller_account(somebody.pk)
    newest: list[Posting] = []
    for side in ("debit", "credit"):
        newest += Posting.objects.filter(**{side: account}).order_by("-pk")[:REMEMBERED]
    names = account_names({code for each in newest for code in (each.debit_id, each.credit_id)})
    return [
        TimelineLine(
            each.at,
            f"Booked {written(each.amount_minor, each.currency)} from {names[each.debit_id]} to "
            f"{names[each.credit_id]} (order {str(each.story_id)[-8:]}).",
            "posting",
        )
        for each in newest
    ]


def acts_in(story_id: UUID) -> list[TimelineLine]:
    """What staff did about a story, with their reasons."""
    acts = StaffAct.objects.filter(story_id=story_id).select_related("person")
    return [
        TimelineLine(
            act.at,
            f"{act.person.email} pressed “{act.label}” because: {act.reason.rstrip('.')}. "
            f"{act.sentence or 'It was never finished.'}",
            "act",
        )
        for act in acts
    ]
