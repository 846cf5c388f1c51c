"""What must be true for people, whatever they did: no goods without their price, no pay for what was given back, and no
one who can stop another from refunding, buying or leaving.

Judged by what the sandbox moved, and by licences. An order about which a bank, a provider or a dashboard had its own
mind is left out: the oracle judges those.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from connect.models import ConnectedAccount
from connect.reporting.balance import balances_of
from marketplace.availability import reasons_against
from marketplace.catalogue import change_product
from marketplace.models import License, LicenseOffer, Order, OrderItem, RefundApplicationItem, RefundLine
from marketplace.offers import OrderLine
from marketplace.orders import place_order
from marketplace.refunds import RefundRequest, place_refund
from payments.models import Payment, Refund
from subscriptions.changes import cancel
from subscriptions.models import Subscription
from tests.buying import BY_BUYER
from tests.factories import PersonFactory
from tests.walker.fair_sales import unfair_sales
from tests.walker.world import World
from veza.core.errors import NotAllowed
from veza.core.ids import new_id
from veza.core.models import User

# A refusal that says that another has it already stops no one.
SOLD_ALREADY = {"exclusive_sold", "offer_not_found"}
OURS = ("buyer", "seller", "support", "late_payment")


@dataclass(frozen=True)
class Trade:
    """An order whose payment was captured as requested, and only refunded by refunds of ours, in cents."""

    order: Order
    paid_minor: int
    refunds: list[Refund]

    @property
    def items(self) -> list[OrderItem]:
        return list(self.order.items.order_by("pk"))

    def back_minor(self, *sources: str) -> int:
        """What refunds of these sources gave back."""
        return sum(refund.amount_minor for refund in self.refunds if refund.source in sources)


def unfairness(world: World) -> list[str]:
    """Everything that is unfair when a walk is over, in sentences."""
    trades = list(_trades(world))
    return [
        *_goods_without_their_price(trades),
        *_goods_taken_away(trades),
        *_pay_for_what_was_given_back(world, trades),
        *_stopped_from_refunding(trades),
        *_stopped_from_buying(),
        *_stopped_from_leaving(world),
        *unfair_sales(trade.order for trade in trades),
    ]


def payouts_of_what_may_be_given_back(world: World, seller: User) -> list[str]:
    """After a payout: the seller's account has less than their buyers may still give back by themselves."""
    account = ConnectedAccount.objects.get(seller=seller).stripe_account_id
    there: defaultdict[str, int] = defaultdict(int)
    for transfer in world.remote("transfers"):
        if transfer["destination"] == account:
            there[transfer["metadata"]["order_id"]] += transfer["amount"] - transfer["amount_reversed"]
    young = Order.objects.filter(pk__in=there, refund_deadline__gt=timezone.now())
    due = sum(there[str(key)] for key in young.values_list("pk", flat=True))
    left = world.balance_of(seller)
    if left >= due or world.has_drained or _has_reversals_without_us(world):
        return []
    return [f"{seller.email} has {left} left at Stripe, and buyers may still give back {due}"]


def _has_reversals_without_us(world: World) -> bool:
    """Whether a dispute or a dashboard has taken money of a seller that was not for that sale."""
    return bool(world.remote("disputes")) or Refund.objects.exclude(source__in=("buyer", "late_payment")).exists()


def _trades(world: World) -> Iterator[Trade]:
    objects = world.sandbox.objects()
    disputed = {dispute["payment_id"] for dispute in objects["disputes"]}
    refunds: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for refund in objects["refunds"]:
        refunds[refund["payment_id"]].append(refund)
    by_order: defaultdict[UUID, list[dict[str, Any]]] = defaultdict(list)
    keys = {payment.provider_key: payment.purpose_id for payment in Payment.objects.filter(purpose="order")}
    for payment in objects["payments"]:
        if payment["payment_id"] in keys and payment["status"] not in ("requires_payment_method", "failed"):
            by_order[keys[payment["payment_id"]]].append(payment)
    for order in Order.objects.filter(completed_at__isnull=False).order_by("pk"):
        payments = by_order[order.pk]
        if len(payments) == 1 and _is_as_requested(order, payments[0]) and payments[0]["payment_id"] not in disputed:
            rows = _our_refunds(refunds[payments[0]["payment_id"]])
            if rows is not None:
                yield Trade(order, order.total_minor, rows)


def _is_as_requested(order: Order, payment: dict[str, Any]) -> bool:
    amounts = (payment["status"], payment["amount_received"], payment["currency"])
    return amounts == ("succeeded", order.total_minor, order.currency)


def _our_refunds(there: list[dict[str, Any]]) -> list[Refund] | None:
    """Our rows of what was refunded. None when one was not asked for by us, or was answered with another amount."""
    ours = {row.provider_key: row for row in Refund.objects.all()}
    rows = []
    for refund in (one for one in there if one["status"] == "succeeded"):
        row = ours.get(refund["refund_id"])
        is_ours = row is not None and row.source in OURS and row.requested_minor is None
        if row is None or not is_ours or refund["amount"] != row.amount_minor:
            return None
        rows.append(row)
    return rows


def _goods_without_their_price(trades: list[Trade]) -> Iterator[str]:
    """What a buyer took back for themselves is not the price of what they still have.

    What sellers and staff gave them is a gift.
    """
    for trade in trades:
        held = License.objects.filter(order=trade.order, status="active").select_related("item")
        goods = sum(license_.item.total_minor for license_ in held)
        back = trade.back_minor("buyer", "late_payment")
        if goods + back > trade.paid_minor:
            yield (
                f"order {trade.order.pk}: {trade.paid_minor} was paid, the buyer took {back} back and holds goods of "
                f"{goods}"
            )


def _goods_taken_away(trades: list[Trade]) -> Iterator[str]:
    """A buyer lost a licence whose price did not come back to them."""
    for trade in trades:
        given = _lines_of(trade)
        for item in trade.items:
            license_ = License.objects.filter(item=item).first()
            back = sum(line.total_minor for line in given[item.pk])
            if license_ is None and not item.withheld:
                yield f"order {trade.order.pk}: {item.title} was paid and gave no licence"
            elif license_ is not None and license_.status != "active" and back < item.total_minor:
                yield f"order {trade.order.pk}: {item.title} is {license_.status}, and {back} of its price came back"


def _lines_of(trade: Trade) -> defaultdict[UUID, list[RefundLine]]:
    lines: defaultdict[UUID, list[RefundLine]] = defaultdict(list)
    for line in RefundLine.objects.filter(refund__in=trade.refunds):
        lines[line.item_id].append(line)
    return lines


def _pay_for_what_was_given_back(world: World, trades: list[Trade]) -> Iterator[str]:
    """A seller has more of these orders than their shares of what was kept, beyond a debt that we show.

    If no one but buyers gave anything back, there is not even a debt: their money waited until they could not.
    """
    sent: defaultdict[tuple[str, str], int] = defaultdict(int)
    for transfer in world.remote("transfers"):
        key = (transfer["destination"], transfer["metadata"]["order_id"])
        sent[key] += transfer["amount"] - transfer["amount_reversed"]
    for seller in world.sellers:
        account = str(ConnectedAccount.objects.get(seller=seller).stripe_account_id)
        has = sum(sent[account, str(trade.order.pk)] for trade in trades)
        due = sum(_share(trade, seller) for trade in trades)
        debt = sum(debt.amount_minor for balance in balances_of(seller.pk) for debt in balance.debts)
        if has > due + debt:
            yield f"{seller.email} has {has} of orders that pay {due}, and owes {debt}"
        if debt and not world.has_drained and not _has_reversals_without_us(world):
            yield f"{seller.email} owes {debt}, and only buyers gave anything back, within their window"


def _share(trade: Trade, seller: User) -> int:
    given = _lines_of(trade)
    return sum(
        item.seller_minor - sum(line.seller_minor for line in given[item.pk])
        for item in trade.items
        if item.seller_id == seller.pk and not item.withheld
    )


def _stopped_from_refunding(trades: list[Trade]) -> Iterator[str]:
    """Each buyer can give back each item that they hold, within the window: or apply for it, and support decides."""
    for trade in trades:
        order = trade.order
        if order.refund_deadline is None or order.refund_deadline < timezone.now() or not _is_open(order.buyer):
            continue
        for license_ in License.objects.filter(order=order, status="active").select_related("item").order_by("pk"):
            if not license_.item.total_minor - sum(one.total_minor for one in _lines_of(trade)[license_.item_id]):
                continue
            if _has_application(license_.item_id):
                continue
            wish = RefundRequest(reason="It does not open.", item_ids=[license_.item_id])
            params: dict[str, Any] = {"refund_id": new_id(), "order_id": order.pk, "requested_by": order.buyer}
            if code := _refusal(lambda p=params, w=wish: place_refund(**p, refund_request=w, cause=BY_BUYER)):
                yield f"{order.buyer.email} cannot give back {license_.item.title} of order {order.pk}: {code}"


def _is_open(user: User) -> bool:
    """Whether the user can log in: staff may have closed the account."""
    return User.objects.filter(pk=user.pk, closed_at=None).exists()


def _has_application(item_id: UUID) -> bool:
    """Whether support is to decide about the item, or has declined to refund it."""
    lines = RefundApplicationItem.objects.filter(item=item_id)
    return lines.filter(application__status__in=("requested", "declined")).exists()


def _stopped_from_buying() -> Iterator[str]:
    """Whoever comes new can order what is on sale."""
    buyer = PersonFactory()
    for offer in _offers_for_sale():
        lines = [OrderLine(offer.product_id, offer.license)]
        params: dict[str, Any] = {"order_id": new_id(), "buyer": buyer, "lines": lines, "is_sent_now": False}
        code = _refusal(lambda p=params: place_order(**p, cause=BY_BUYER))
        if code and code not in SOLD_ALREADY:
            yield f"no one can order {offer}: {code}"


def _offers_for_sale() -> list[LicenseOffer]:
    offers = list(LicenseOffer.objects.select_related("product").order_by("pk"))
    reasons = reasons_against([offer.pk for offer in offers], at=timezone.now())
    return [offer for offer in offers if offer.pk not in reasons]


def _stopped_from_leaving(world: World) -> Iterator[str]:
    """Each seller can take their works off sale, and whoever subscribes can end it, at once or with its period."""
    for offer in world.offers:
        work = offer.product
        params: dict[str, Any] = {"product_id": work.pk, "seller": work.seller, "changes": {"published": False}}
        if _is_open(work.seller) and (code := _refusal(lambda p=params: change_product(**p, offers=[]))):
            yield f"{work.seller.email} cannot take {work.title} off sale: {code}"
    for subscription in Subscription.objects.filter(status__in=("trialing", "active", "past_due")):
        for now in (True, False):
            params = {"user_id": subscription.user_id, "now": now, "cause": BY_BUYER, "at": timezone.now()}
            if code := _refusal(lambda p=params: cancel(**p)):
                yield f"subscription {subscription.pk} cannot be cancelled: {code}"


def _refusal(perform: Callable[[], Any]) -> str:
    """Why it is refused, or nothing. It is tried, and undone."""
    before = transaction.savepoint()
    try:
        perform()
    except NotAllowed as error:
        return error.code
    finally:
        transaction.savepoint_rollback(before)
    return ""
