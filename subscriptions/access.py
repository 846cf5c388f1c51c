"""Which features a user's plan gives access to. Every gate asks here, and here alone.

A subscription gives access only with an effective payment: a free plan, a trial that has not ended, or a paid invoice
that names its payment, of which nothing lost is in doubt. Its status alone proves nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import NamedTuple
from uuid import UUID

from django.conf import settings
from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery
from django.db.models.expressions import RawSQL

from payments.models import Payment
from payments.states import PaymentStatus
from subscriptions.models import Plan, Subscription, SubscriptionInvoice
from subscriptions.states import ENTITLING, PAYABLE, InvoiceStatus
from veza.core.errors import NotAllowed
from veza.core.ids import row_id


class SubscriptionPaymentRequired(NotAllowed):
    code = "subscription_payment_required"
    http_status = 403


class PlanDoesNotAllow(NotAllowed):
    code = "plan_does_not_allow"
    http_status = 403


@dataclass(frozen=True)
class EffectivePayment:
    """What makes a subscription give access, and the plan whose features it gives access to.

    `until_at` is when it stops being effective; None for a free plan that is not cancelled.
    """

    subscription: Subscription
    plan: Plan
    until_at: datetime | None


def effective_payment_of(user_id: UUID, *, at: datetime) -> EffectivePayment | None:
    """The effective payment of the user's subscription at `at`, if it has one."""
    subscription = Subscription.objects.filter(user=user_id, status__in=ENTITLING).select_related("plan").first()
    return effective_payment(subscription, at=at) if subscription else None


def effective_payment(subscription: Subscription, *, at: datetime) -> EffectivePayment | None:
    """What makes the subscription give access at `at`: free plan, running trial, or paid invoice with a payment id."""
    if subscription.status not in ENTITLING:
        return None
    if subscription.plan.is_free:
        until_at = subscription.period_end_at if subscription.cancel_at_period_end else None
    elif subscription.trial_ends_at is not None and at < subscription.trial_ends_at:
        until_at = subscription.trial_ends_at
    else:
        return _payment_by_invoice(subscription, at=at)
    is_effective = until_at is None or at < until_at
    return EffectivePayment(subscription, subscription.plan, until_at) if is_effective else None


def _payment_by_invoice(subscription: Subscription, *, at: datetime) -> EffectivePayment | None:
    invoices = sorted(subscription.invoices.select_related("plan"), key=lambda invoice: invoice.period_start_at)
    doubtful_ids = _ids_in_doubt(invoices)
    has_no_grace = subscription.cancel_at_period_end
    for invoice in reversed(invoices):
        if invoice.status == InvoiceStatus.REFUNDED or invoice.pk in doubtful_ids:
            has_no_grace = True  # The renewal was paid and refunded: no payment is under way.
        if not _is_paid(invoice) or invoice.pk in doubtful_ids:
            continue
        until_at = invoice.period_end_at
        if not has_no_grace:
            until_at += settings.SUBSCRIPTION_GRACE
            if until_at <= at and _is_bank_working(invoices):
                until_at = invoice.period_end_at + settings.SUBSCRIPTION_PROCESSING_GRACE
        return EffectivePayment(subscription, invoice.plan, until_at) if at < until_at else None
    return None


def _is_bank_working(invoices: Iterable[SubscriptionInvoice]) -> bool:
    """Whether a payment of an unpaid invoice is with the payer's bank, which answers direct debits after days."""
    unpaid = [invoice.pk for invoice in invoices if invoice.status in PAYABLE]
    payments = Payment.objects.filter(purpose=Payment.Purpose.INVOICE, purpose_id__in=unpaid)
    return payments.filter(status=PaymentStatus.PROCESSING).exists()


def _ids_in_doubt(invoices: Iterable[SubscriptionInvoice]) -> set[UUID]:
    """The paid invoices of whose payment the buyer or the bank has an unknown part: they give no access meanwhile."""
    payments = {row_id("pay", invoice.hyperswitch_payment_id): invoice.pk for invoice in invoices if _is_paid(invoice)}
    in_doubt = Payment.objects.filter(pk__in=[key for key in payments if key]).in_doubt_of_loss()
    return {payments[key] for key in in_doubt.values_list("pk", flat=True)}


def is_in_doubt(subscription: Subscription) -> bool:
    """Whether a paid invoice of the subscription gives no access because an amount of its payment is in doubt."""
    return bool(_ids_in_doubt(subscription.invoices.all()))


def _is_paid(invoice: SubscriptionInvoice) -> bool:
    return invoice.status == InvoiceStatus.PAID and bool(invoice.hyperswitch_payment_id)


def may_sell(user_id: UUID, at: datetime) -> bool:
    """Whether the plan that the user pays for includes selling on the marketplace at `at`."""
    payment = effective_payment_of(user_id, at=at)
    return payment is not None and payment.plan.can_sell_on_marketplace


class SellingMoments(NamedTuple):
    """What decides at a moment which subscriptions sell: a period that ended after `paid_after` gives access by grace,
    and one that ended after `processed_after` while the renewal is with the payer's bank.
    """

    at: datetime
    paid_after: datetime
    processed_after: datetime


def selling_moments(at: datetime) -> SellingMoments:
    return SellingMoments(at, at - settings.SUBSCRIPTION_GRACE, at - settings.SUBSCRIPTION_PROCESSING_GRACE)


def ids_of_sellers(moments: SellingMoments) -> RawSQL:
    """The users for whom `may_sell` is true `at` a moment, as a part of a query: for works of many sellers.

    The rule of `effective_payment` in SQL; a test compares the two over every subscription that it can think of. The
    text is built once in a process: Django needs more time for it than PostgreSQL for the page that it is part of.
    """
    text, params = _text_of_sellers()
    values: dict[object, datetime] = dict(zip(SellingMoments._fields, moments, strict=True))
    return RawSQL(text, [values.get(value, value) for value in params])  # noqa: S611  # Django's own text.


@cache
def _text_of_sellers() -> tuple[str, tuple[object, ...]]:
    """The SQL, and its parameters, in which the names of `SellingMoments` stand for moments."""
    marks = {datetime(9000 + number, 1, 1, tzinfo=UTC): name for number, name in enumerate(SellingMoments._fields)}
    text, params = _selling_subscriptions(*marks).values("user").query.sql_with_params()
    return text, tuple(marks[value] if isinstance(value, datetime) else value for value in params)


def _selling_subscriptions(at: datetime, paid_after: datetime, processed_after: datetime) -> QuerySet[Subscription]:
    """`paid_after`: a period that ended since, and has grace, still gives access. `processed_after`: so does one whose
    renewal is with the payer's bank.
    """
    on_trial = Q(trial_ends_at__gt=at)
    is_free = Q(plan__price_minor=0) & (Q(cancel_at_period_end=False) | Q(period_end_at__gt=at))
    by_plan = Q(plan__can_sell_on_marketplace=True) & (is_free | ~Q(plan__price_minor=0) & on_trial)
    has_no_trial = ~on_trial | Q(trial_ends_at__isnull=True)
    by_invoice = ~Q(plan__price_minor=0) & has_no_trial & Exists(_selling_invoices(at, paid_after, processed_after))
    return Subscription.objects.filter(by_plan | by_invoice, status__in=ENTITLING)


def _selling_invoices(at: datetime, paid_after: datetime, processed_after: datetime) -> QuerySet[SubscriptionInvoice]:
    """Of the subscription around it: the invoice that pays for it, if that lasts at `at` and its plan sells."""
    paid = Q(status=InvoiceStatus.PAID, hyperswitch_payment_id__isnull=False)
    payments = Payment.objects.filter(hyperswitch_payment_id=OuterRef("hyperswitch_payment_id"))
    in_doubt = Exists(payments.in_doubt_of_loss())
    of_subscription = SubscriptionInvoice.objects.filter(subscription=OuterRef(OuterRef("pk")))
    latest = of_subscription.filter(paid & ~in_doubt).order_by("-period_start_at")
    lost_later = SubscriptionInvoice.objects.filter(
        Q(status=InvoiceStatus.REFUNDED) | paid & Q(in_doubt),
        subscription=OuterRef("subscription"),
        period_start_at__gt=OuterRef("period_start_at"),
    )
    has_grace = Q(subscription__cancel_at_period_end=False) & ~Exists(lost_later)
    unpaid = SubscriptionInvoice.objects.filter(subscription=OuterRef(OuterRef("subscription")), status__in=PAYABLE)
    with_bank = Payment.objects.filter(purpose=Payment.Purpose.INVOICE, status=PaymentStatus.PROCESSING)
    is_bank_working = Exists(with_bank.filter(purpose_id__in=unpaid.values("pk")))
    lasts_by_grace = Q(period_end_at__gt=paid_after) | Q(period_end_at__gt=processed_after) & is_bank_working
    lasts = Q(period_end_at__gt=at) | lasts_by_grace & has_grace
    invoices = SubscriptionInvoice.objects.filter(pk=Subquery(latest.values("pk")[:1]))
    return invoices.filter(lasts, plan__can_sell_on_marketplace=True)


def refuse_unless_may_sell(user_id: UUID, *, at: datetime) -> EffectivePayment:
    """Return what lets the user sell. Raises SubscriptionPaymentRequired, PlanDoesNotAllow."""
    payment = _refuse_unless_effective(user_id, at=at)
    if not payment.plan.can_sell_on_marketplace:
        raise PlanDoesNotAllow(f"The plan {payment.plan.name} does not include selling on the marketplace.")
    return payment


def refuse_unless_may_distribute(user_id: UUID, *, at: datetime) -> EffectivePayment:
    """Return what lets the user distribute. Raises SubscriptionPaymentRequired, PlanDoesNotAllow."""
    payment = _refuse_unless_effective(user_id, at=at)
    if not payment.plan.can_distribute:
        raise PlanDoesNotAllow(f"The plan {payment.plan.name} does not include distribution.")
    return payment


def _refuse_unless_effective(user_id: UUID, *, at: datetime) -> EffectivePayment:
    payment = effective_payment_of(user_id, at=at)
    if payment is None:
        raise SubscriptionPaymentRequired("This needs a paid subscription: see GET /api/v1/me/subscription.")
    return payment
