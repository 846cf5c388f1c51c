"""A buyer's applications for a refund: whether support has to decide, opening one, and ending it without a decision.

Buyers give back as many orders as SELF_SERVICE_REFUNDS_PER_30_DAYS by themselves, and an exclusive licence once: a
rival who buys it and gives it back, again and again, keeps it from every other buyer for nothing. Beyond that they
apply. Refunds that failed do not count, nor do those that sellers, staff or Veza opened.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.db.models import QuerySet
from django.utils import timezone

from marketplace.allocation import ItemShares
from marketplace.messages.refund_applications import REFUND_APPLICATION_RECEIVED
from marketplace.models import (
    License,
    LicenseKind,
    Order,
    OrderItem,
    RefundApplication,
    RefundApplicationItem,
    RefundLine,
)
from marketplace.states import RefundApplicationStatus
from payments.models import Payment, Refund
from payments.refunds.refund_requests import RefundAlreadyRequested
from payments.states import RefundStatus
from veza.core import reads, writes
from veza.core.accounts import lock_account
from veza.core.causes import Cause
from veza.core.email.outbox import write_email
from veza.core.errors import NotAllowed, NotFound
from veza.core.models import User
from veza.core.money import format_amount
from veza.core.reviews import close_review, open_review
from veza.core.states import move
from veza.core.words import format_date

REFUND_TO_DECIDE, DECISION_LATE = "refund_to_decide", "refund_decision_late"
LIMIT_OVER = timedelta(days=30)
# Of one order: withdrawing a request and making it again costs support and the mail server, and no one is helped.
MOST_APPLICATIONS = 10
# The buyer has the money, or is going to.
_GIVEN_BACK = (RefundStatus.PENDING, RefundStatus.SUCCEEDED)
_WHY = {
    RefundApplication.Why.LIMIT: "The buyer was refunded for as many orders as buyers may give back in 30 days.",
    RefundApplication.Why.EXCLUSIVE: "The buyer gave back the same exclusive licence before.",
}
# Written only under the lock of their order.
APPLICATIONS_OF = reads.Read(
    lambda order_id: RefundApplication.objects.filter(order=order_id).order_by("pk"), UUID, is_kept=True
)


class RefundDeclined(NotAllowed):
    code = "refund_declined"
    http_status = 409


class TooManyApplications(NotAllowed):
    code = "refund_requests_exhausted"
    http_status = 409


class ApplicationAlreadyDecided(NotAllowed):
    code = "refund_already_decided"
    http_status = 409


def find_application(order: Order, application_id: UUID) -> RefundApplication | None:
    """The application of a locked order with this id."""
    return next((one for one in APPLICATIONS_OF(order.pk) if one.pk == application_id), None)


def why_support_decides(order: Order, items: Collection[OrderItem]) -> RefundApplication.Why | None:
    """Why the buyer of a locked order is not refunded these items without support; None if they are.

    Raises RefundAlreadyRequested while an application for one of them is undecided, and RefundDeclined for one that
    support has declined to refund: the limit may leave room again, and the decision stands.
    """
    _refuse_if_undecided(order, items)
    _refuse_if_declined(order, [item.pk for item in items])
    if _is_exclusive_given_back_before(order, items):
        return RefundApplication.Why.EXCLUSIVE
    return RefundApplication.Why.LIMIT if _is_limit_reached(order) else None


def open_application(
    *, application_id: UUID, order: Order, parts: Sequence[ItemShares], why: RefundApplication.Why, reason: str
) -> RefundApplication:
    """Record that the buyer of a locked order applies for a refund, and ask support to decide.

    `why_support_decides` was asked before. Raises TooManyApplications.
    """
    assert connection.in_atomic_block, "an application is made under the lock of its order"
    if len(APPLICATIONS_OF(order.pk)) >= MOST_APPLICATIONS:
        raise TooManyApplications("You have requested refunds of this order too often. Contact support.")
    due = settings.REFUND_REQUEST_DUE
    application = RefundApplication.objects.create(
        pk=application_id,
        order=order,
        why=why,
        reason=reason,
        amount_minor=sum(part.total_minor for part in parts),
        currency=order.currency,
        due_at=timezone.now() + due if due else None,
    )
    application.refresh_from_db(fields=["created_at"])
    writes.insert(
        RefundApplicationItem(application=application, item_id=part.item_id, amount_minor=part.total_minor)
        for part in parts
    )
    open_review_of_application(application)
    write_email(REFUND_APPLICATION_RECEIVED, application, to=order.buyer_id)
    return application


@writes.atomic()
def withdraw_application(*, application_id: UUID, buyer: User, cause: Cause) -> RefundApplication:
    """End an undecided application because its buyer does not want the refund any more.

    Withdrawing again changes nothing. Raises NotFound, ApplicationAlreadyDecided.
    """
    application = lock_application(application_id)
    if application is None or application.order.buyer_id != buyer.pk:
        raise NotFound("There is no such refund.")
    if application.status == RefundApplicationStatus.WITHDRAWN:
        return application
    refuse_if_decided(application)
    _withdraw(application, note="The buyer withdrew it.", cause=cause, at=timezone.now())
    return application


def end_pointless_applications(order: Order, remaining: Sequence[ItemShares], *, cause: Cause, at: datetime) -> None:
    """Withdraw the undecided applications of a locked order of whose items nothing is left: all of it went back."""
    applications = _of_status(order, RefundApplicationStatus.REQUESTED)
    if not applications:
        return
    left_ids = {share.item_id for share in remaining if share.total_minor}
    lines = RefundApplicationItem.objects.filter(application__in=applications, item__in=left_ids)
    with_something_left = set(lines.values_list("application", flat=True))
    for application in applications:
        if application.pk not in with_something_left:
            _withdraw(application, note="Nothing is left of its items.", cause=cause, at=at)


def lock_application(application_id: UUID) -> RefundApplication | None:
    """An application, with the payment and the order that its locks are those of; None if there is none."""
    assert connection.in_atomic_block, "a lock lasts until the end of its transaction"
    order_id = RefundApplication.objects.filter(pk=application_id).values_list("order", flat=True).first()
    if order_id is None:
        return None
    list(Payment.objects.of(Payment.Purpose.ORDER, order_id).locked())
    Order.objects.locked().get(pk=order_id)
    return RefundApplication.objects.select_related("order").get(pk=application_id)


def open_review_of_application(application: RefundApplication) -> None:
    """Ask support to decide about an application, unless that review item is open."""
    due_at = application.due_at
    until = f" by {format_date(due_at)}, as the buyer was told" if due_at else ""
    amount = format_amount(application.amount_minor, application.currency)
    open_review(
        REFUND_TO_DECIDE,
        application,
        why=f"The buyer requests a refund of {amount}. {_WHY[RefundApplication.Why(application.why)]} Their reason: "
        f"{application.reason}",
        what_to_do=f"Support: press “Grant refund” or “Decline refund” on the application's page{until}. The buyer "
        "keeps the licences meanwhile.",
        amount_minor=application.amount_minor,
        currency=application.currency,
    )


def close_reviews_of_application(application: RefundApplication, *, note: str) -> None:
    """Close what was open about an application: it is decided, or withdrawn."""
    for kind in (REFUND_TO_DECIDE, DECISION_LATE):
        close_review(kind, application, note=note)


def refuse_if_decided(application: RefundApplication) -> None:
    """Raise ApplicationAlreadyDecided unless support has yet to decide."""
    if application.status != RefundApplicationStatus.REQUESTED:
        who = f" by {application.decided_by}" if application.decided_by else ""
        raise ApplicationAlreadyDecided(f"This refund request was {application.status}{who} already.")


def _withdraw(application: RefundApplication, *, note: str, cause: Cause, at: datetime) -> None:
    move(application, RefundApplicationStatus.WITHDRAWN, cause=cause, at=at, decided_at=at)
    close_reviews_of_application(application, note=note)


def _of_status(order: Order, status: RefundApplicationStatus) -> list[RefundApplication]:
    return [one for one in APPLICATIONS_OF(order.pk) if one.status == status]


def _refuse_if_undecided(order: Order, items: Collection[OrderItem]) -> None:
    applications = _of_status(order, RefundApplicationStatus.REQUESTED)
    if line := _last_line(applications, [item.pk for item in items]):
        due_at = line.application.due_at
        until = f", by {format_date(due_at)} at the latest" if due_at else ""
        raise RefundAlreadyRequested(
            f"You requested the refund of {line.item.title!r} already: our support decides about it{until}. "
            "To request another one, withdraw that request first."
        )


def _refuse_if_declined(order: Order, item_ids: Collection[UUID]) -> None:
    if line := _last_line(_of_status(order, RefundApplicationStatus.DECLINED), item_ids):
        raise RefundDeclined(
            f"Our support declined the refund of {line.item.title!r}: {line.application.decision_reason} "
            "If you do not agree, contact support."
        )


def _last_line(applications: Sequence[RefundApplication], item_ids: Collection[UUID]) -> RefundApplicationItem | None:
    """The newest line of these applications that is of one of the items."""
    if not applications:
        return None
    lines = RefundApplicationItem.objects.filter(application__in=applications, item__in=item_ids)
    return lines.select_related("application", "item").order_by("-application").first()


def _is_exclusive_given_back_before(order: Order, items: Collection[OrderItem]) -> bool:
    """Whether one of the items is an exclusive licence that its buyer bought and gave back in another order."""
    offer_ids = [item.offer_id for item in items if item.license == LicenseKind.EXCLUSIVE]
    if not offer_ids:
        return False
    licenses = License.objects.filter(offer__in=offer_ids, holder=order.buyer_id).exclude(order=order)
    refund_ids = RefundLine.objects.filter(item__in=licenses.values("item")).values_list("refund", flat=True)
    given_back = Refund.objects.filter(pk__in=refund_ids, status__in=_GIVEN_BACK)
    granted = RefundApplication.objects.filter(order__buyer=order.buyer_id, status=RefundApplicationStatus.GRANTED)
    by_buyer = given_back.filter(source=Refund.Source.BUYER) | given_back.filter(pk__in=granted.values("pk"))
    return by_buyer.exists()


def _is_limit_reached(order: Order) -> bool:
    """Whether the buyer gave back as many other orders as may be; an order that counts already may be given back."""
    most = settings.SELF_SERVICE_REFUNDS_PER_30_DAYS
    if not most:
        return False
    # Two orders given back at once count one after the other.
    lock_account(order.buyer_id)
    own = _self_service_refunds(order.buyer_id)
    others = own.exclude(payment__purpose_id=order.pk).values_list("payment__purpose_id", flat=True).distinct()
    return others[:most].count() >= most and not own.filter(payment__purpose_id=order.pk).exists()


def _self_service_refunds(buyer_id: UUID) -> QuerySet[Refund]:
    return Refund.objects.filter(
        payment__payer=buyer_id,
        payment__purpose=Payment.Purpose.ORDER,
        source=Refund.Source.BUYER,
        status__in=_GIVEN_BACK,
        created_at__gt=timezone.now() - LIMIT_OVER,
    )
