"""Orders with money in them, and transfers at every stage of their life."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from connect.models import ConnectedAccount, SellerTransfer
from connect.settlement.reconcile_seller import settle_order
from connect.transfers.transfer_requests import plan_transfers
from marketplace.allocation import accounts_of, shares_at_sale
from marketplace.models import Order, OrderItem, RefundLine
from payments.ledger.chart_of_accounts import PSP_CLEARING, seller_account
from payments.ledger.postings import Line, Reference, post, post_applied
from payments.models import Payment, Posting, Refund
from tests.factories import OfferFactory, PersonFactory, SellerFactory
from veza.core.causes import Cause
from veza.core.ids import new_id
from veza.core.models import User

BY_TEST = Cause("command", actor="a test")


def make_seller(*, stripe_account_id: str | None = None, active: bool = True) -> User:
    """A seller whose Stripe account can receive transfers."""
    seller = SellerFactory()
    ConnectedAccount.objects.create(
        seller=seller,
        stripe_account_id=stripe_account_id or f"acct_{seller.pk.hex[-12:]}",
        transfers_active=active,
        country="DE",
    )
    return seller


@transaction.atomic
def make_order(*shares: tuple[User, int]) -> Order:
    """A completed and paid order in which each seller has one item that is worth `share` to them."""
    total = sum(share for _, share in shares)
    buyer, now = PersonFactory(), timezone.now()
    amounts: dict[str, Any] = {"subtotal_minor": total, "tax_minor": 0, "total_minor": total, "currency": "EUR"}
    order = Order.objects.create(buyer=buyer, status="completed", completed_at=now, **amounts)
    items = OrderItem.objects.bulk_create(
        OrderItem(
            order=order,
            offer=OfferFactory(product__seller=seller),
            seller=seller,
            title="A work",
            license="personal",
            net_minor=share,
            tax_minor=0,
            fee_minor=0,
            seller_minor=share,
        )
        for seller, share in shares
    )
    if total:
        payment = Payment.objects.create(
            purpose="order",
            purpose_id=order.pk,
            correlation_id=order.pk,
            payer=buyer,
            amount_minor=total,
            received_minor=total,
            currency="EUR",
            return_url="https://veza.example/paid",
            session_seconds=3600,
            status="succeeded",
            succeeded_at=now,
        )
        post_applied(order.pk, accounts_of(shares_at_sale(items)), payment=payment, at=now)
    return order


def planned(seller: User | None = None, *, amount_minor: int = 9_00, **fields: Any) -> SellerTransfer:
    """A transfer that is due to be sent."""
    order = make_order((seller or make_seller(), amount_minor))
    with transaction.atomic():
        plan_transfers(order, cause=BY_TEST, at=timezone.now())
    return _with(order.transfers.get(), fields)


def completed(*, amount_minor: int = 9_00, **fields: Any) -> SellerTransfer:
    """A transfer that Stripe has taken."""
    transfer = planned(amount_minor=amount_minor)
    row = _stored(transfer, "completed", {"stripe_transfer_id": f"tr_{new_id().hex}", "next_retry_at": None})
    return _with(row, {"completed_at": timezone.now(), **fields})


def to_reverse(*, amount_minor: int = 9_00, target: int | None = None, **fields: Any) -> SellerTransfer:
    """A transfer of which `target`, by default all, has to be reversed."""
    target = amount_minor if target is None else target
    row = completed(amount_minor=amount_minor, reversal_target_minor=target, next_retry_at=long_ago())
    return _with(_stored(row, "reversal_pending", {}), fields)


@transaction.atomic
def refund(order: Order, seller: User, amount_minor: int, *, settle: bool = True) -> Refund:
    """A succeeded refund that takes `amount_minor` of one seller's share, and what follows from it."""
    payment = Payment.objects.get(purpose_id=order.pk)
    row = Refund.objects.create(
        payment=payment,
        correlation_id=order.pk,
        amount_minor=amount_minor,
        currency="EUR",
        allocation={},
        source="buyer",
        status="succeeded",
    )
    RefundLine.objects.create(
        refund=row,
        item=order.items.get(seller=seller),
        tax_minor=0,
        fee_minor=0,
        seller_minor=amount_minor,
    )
    line = Line(seller_account(seller.pk), PSP_CLEARING, amount_minor, "seller")
    posting: dict[str, Any] = {"payment": payment, "currency": "EUR", "correlation_id": order.pk, "at": timezone.now()}
    post(Reference(Posting.Kind.REFUND, row.pk, 1), [line], **posting)
    if settle:
        settle_order(order, cause=BY_TEST, at=timezone.now())
    return row


def make_due(transfer_id: UUID) -> None:
    SellerTransfer.objects.filter(pk=transfer_id).update(next_retry_at=long_ago())


def long_ago() -> Any:
    return Now() - timedelta(minutes=1)


def _with(row: SellerTransfer, fields: dict[str, Any]) -> SellerTransfer:
    if fields:
        SellerTransfer.objects.filter(pk=row.pk).update(**fields)
    return SellerTransfer.objects.get(pk=row.pk)


def _stored(row: SellerTransfer, status: str, fields: dict[str, Any]) -> SellerTransfer:
    """The row as a new one that was born in `status`: a test starts where it likes."""
    SellerTransfer.objects.filter(pk=row.pk).delete()
    values = {field.attname: getattr(row, field.attname) for field in SellerTransfer._meta.concrete_fields}
    if status == "reversal_pending":
        values["next_retry_at"] = long_ago()
    return SellerTransfer.objects.create(**{**values, "status": status, **fields})
