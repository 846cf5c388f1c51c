"""What staff do: any action that a row's page offers, with its preview, as the confirmation page shows it."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.utils import timezone

from connect.admin_actions import WriteOffDebt
from connect.models import ConnectedAccount, SellerTransfer
from marketplace.admin_actions import DeclineRefund, GrantRefund
from marketplace.models import Order, Product, RefundApplication, SellerRestriction
from marketplace.refunds import RefundRequest, request_refund
from payments.admin_actions import EnterReceivedAmount
from payments.models import Dispute, Payment, Refund, WebhookDelivery
from payments.refund_actions import EnterConvertedAmount, ImportExternalRefund, WriteOffShortfall
from subscriptions.models import Subscription, SubscriptionInvoice
from tests.walker.world import World
from veza.core.admin_actions import ActionRequest, AdminAction
from veza.core.causes import Cause
from veza.core.errors import NotAllowed
from veza.core.ids import new_id
from veza.core.models import User
from veza.core.states import IllegalMove, StaleState

BY_STAFF = Cause("staff", actor="support@staff.example", reason="It is right.")
PAGES = (
    Order,
    RefundApplication,
    Payment,
    Refund,
    Dispute,
    SellerTransfer,
    ConnectedAccount,
    Subscription,
    SubscriptionInvoice,
    Product,
    SellerRestriction,
)
WRITING_OFF = (WriteOffDebt, WriteOffShortfall)
# About people and their works, and not about a payment that went wrong.
DECISIONS = (Product, SellerRestriction, User)
DECIDING = (GrantRefund, DeclineRefund)


def act(world: World) -> str | None:
    """One of the actions about money that need no more than a reason; each kind is as likely as another."""
    pairs = [pair for pair in offers() if not isinstance(pair[0], DECISIONS)]
    return _act(world, [(row, action) for row, action in pairs if not isinstance(action, WRITING_OFF)])


def write_off(world: World) -> str | None:
    return _act(world, [(row, action) for row, action in offers() if isinstance(action, WRITING_OFF)])


def decide(world: World) -> str | None:
    """Staff restrict or release a seller, take a work off sale or put it back, close or reopen an account, or grant or
    decline what a buyer applies for.
    """
    pairs = [(row, action) for row, action in offers() if isinstance(row, DECISIONS) or isinstance(action, DECIDING)]
    return _act(world, pairs)


def refund_for_buyer(world: World) -> str | None:
    """Support refunds all or part of an order, whenever it was."""
    orders = list(Order.objects.filter(status="completed").order_by("pk"))
    if not orders:
        return None
    order = world.rng.choice(orders)
    amount = world.rng.choice((None, world.rng.randint(1, max(1, order.total_minor))))
    wish = RefundRequest(reason="It is right.", amount_minor=amount)
    params: dict[str, Any] = {"refund_id": new_id(), "order_id": order.pk, "requested_by": world.support}
    try:
        request_refund(**params, refund_request=wish, cause=BY_STAFF)
    except NotAllowed as error:
        return f"refused: {error.code}"
    return f"{order.pk} {amount}"


def import_refund(world: World) -> str | None:
    """Finance enters the id of a refund that the provider has."""
    refunds, payments = world.remote("refunds"), list(Payment.objects.order_by("pk"))
    if not refunds or not payments:
        return None
    there = world.rng.choice(refunds)
    row = next((one for one in payments if one.provider_key == there["payment_id"]), world.rng.choice(payments))
    answers = {"hyperswitch_refund_id": there["refund_id"]}
    return perform(ImportExternalRefund(), row, ActionRequest(world.support, answers))


def convert(world: World) -> str | None:
    """Finance enters the amount of a refund or dispute in another currency, as a statement shows it."""
    action = EnterConvertedAmount()
    rows = [*Refund.objects.order_by("pk"), *Dispute.objects.order_by("pk")]
    if not (open_rows := [row for row in rows if action.is_available(row)]):
        return None
    row = world.rng.choice(open_rows)
    amount = world.rng.randint(1, max(1, row.payment.received_minor))
    return f"{amount}: {perform(action, row, ActionRequest(world.support, {'amount': amount}))}"


def enter_amount(world: World) -> str | None:
    """Finance enters what a payment of unknown amount received; the bank's own statement says the same."""
    action = EnterReceivedAmount()
    if not (payments := [row for row in Payment.objects.order_by("pk") if action.is_available(row)]):
        return None
    row = world.rng.choice(payments)
    there = next(one for one in world.remote("payments") if one["payment_id"] == row.provider_key)
    amount = world.rng.choice((there["amount"], there["amount"] + 1))
    result = perform(action, row, ActionRequest(world.support, {"amount": amount}))
    if not result.startswith(f"{action.label} (payment): refused") and there["amount_received"] is None:
        world.entered[row.provider_key] = (amount, there["currency"])
    return f"{row.provider_key} {amount}: {result}"


def offers() -> Iterator[tuple[Any, AdminAction]]:
    """Every row with an action that its page offers and that asks for a reason only, or a day to decide again."""
    rows = [row for model in PAGES for row in model._default_manager.order_by("pk")]
    rows += list(User.objects.filter(is_staff=False).order_by("pk"))
    rows += list(WebhookDelivery.objects.order_by("-pk")[:2])
    for row in rows:
        for action in getattr(admin.site._registry[type(row)], "row_actions", ()):
            if action.is_available(row) and {*action.form(row).fields} <= {"reason", "review_on"}:
                yield row, action


def _act(world: World, pairs: list[tuple[Any, AdminAction]]) -> str | None:
    if not pairs:
        return None
    name = world.rng.choice(sorted({action.name for _, action in pairs}))
    row, action = world.rng.choice([pair for pair in pairs if pair[1].name == name])
    answers = {"review_on": timezone.now() + timedelta(days=world.rng.choice((1, 30)))}
    return perform(action, row, ActionRequest(world.support, answers))


def perform(action: AdminAction, row: Any, params: ActionRequest) -> str:
    """Preview and perform one action as its page would."""
    action.preview(row, params=params)
    try:
        result = action.perform(row, cause=BY_STAFF, params=params)
    except (NotAllowed, IllegalMove, StaleState) as error:
        result = f"refused: {getattr(error, 'code', type(error).__name__)}"
    return f"{action.label} ({row._meta.verbose_name}): {result}"
