"""A renewal that is announced, and one that was not paid."""

from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.core.signing import TimestampSigner
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from subscriptions.messages.samples import sample_invoice, sample_plan, sample_subscription
from subscriptions.messages.wording import price_table
from subscriptions.models import Plan, Subscription, SubscriptionInvoice
from subscriptions.periods import grace_ends_at
from subscriptions.states import RENEWING, SubscriptionStatus
from veza.core.email.content import Block, Button, Content, Notice, Outdated, Paragraph
from veza.core.email.formats import day, money
from veza.core.email.messages import Audience, Message
from veza.core.email.outbox import fact_of, write_email
from veza.core.money import basis_points_of

PAYMENT_LINK = TimestampSigner(salt="subscriptions.payment_link")


def write_renewal_failed(subscription: Subscription, invoice: SubscriptionInvoice) -> None:
    """Tell the subscriber, once for each invoice, that a renewal was not paid and how to pay it."""
    write_email(RENEWAL_FAILED, subscription, to=subscription.user_id, occasion=str(invoice.pk))


def renewal_occasion(subscription: Subscription) -> str:
    """What is announced: a renewal at this time, to this plan, in this way. If one changes, it is announced again."""
    end_at, plan_id = subscription.period_end_at, subscription.next_plan_id or subscription.plan_id
    way = "charge" if subscription.hyperswitch_payment_method_id else "page"
    return f"{end_at.isoformat() if end_at else ''} {plan_id} {way}"


def _renewal(subscription_id: UUID, occasion: str, /) -> Content | Outdated:
    subscription = _read(subscription_id)
    if subscription.status not in RENEWING or subscription.cancel_at_period_end:
        return Outdated("The subscription does not renew any more.")
    if subscription.period_end_at is None or renewal_occasion(subscription) != fact_of(occasion):
        return Outdated("The plan, the period or the payment method has changed since.")
    has_method = bool(subscription.hyperswitch_payment_method_id)
    plan = subscription.next_plan or subscription.plan
    return _compose_renewal(plan, subscription.period_end_at, has_method=has_method)


def _compose_renewal(plan: Plan, renews_at: datetime, *, has_method: bool) -> Content:
    tax_minor = basis_points_of(plan.price_minor, plan.tax_basis_points)
    total = money(plan.price_minor + tax_minor, plan.currency)
    about = {"plan": plan.name, "day": day(renews_at), "total": total}
    method: Block = Paragraph(_("It will be charged to your saved payment method."))
    if not has_method:
        method = Notice(_("You have no saved payment method: we will ask you to pay."), "bad")
    return Content(
        subject_line=_("Your subscription to %(plan)s renews on %(day)s") % about,
        headline=_("Your subscription renews soon"),
        amount=total,
        blocks=[
            Paragraph(_("On %(day)s your subscription to %(plan)s renews for %(total)s.") % about),
            price_table(plan, plan.price_minor, tax_minor),
            method,
            Paragraph(_("To stop the renewal, cancel your subscription before that day.")),
        ],
    )


def _renewal_failed(subscription_id: UUID, occasion: str, /) -> Content | Outdated:
    subscription = _read(subscription_id)
    if subscription.status != SubscriptionStatus.PAST_DUE:
        return Outdated("The renewal is not past due any more.")
    invoice = SubscriptionInvoice.objects.select_related("plan").get(pk=occasion)
    return _compose_renewal_failed(subscription, invoice)


def _compose_renewal_failed(subscription: Subscription, invoice: SubscriptionInvoice) -> Content:
    about = {"plan": invoice.plan.name, "day": day(grace_ends_at(invoice))}
    again = _("We will try your saved payment method again. You can also pay now.")
    if not subscription.hyperswitch_payment_method_id:
        again = _("You have no saved payment method: please pay now.")
    return Content(
        subject_line=_("Your renewal of %(plan)s was not paid") % about,
        headline=_("Your renewal was not paid"),
        amount=money(invoice.total_minor, invoice.currency),
        blocks=[
            Notice(
                _("The renewal of your subscription to %(plan)s could not be charged. It works until %(day)s.") % about,
                "bad",
            ),
            Paragraph(again),
            Button(_("Pay now"), payment_link(subscription)),
            price_table(invoice.plan, invoice.net_minor, invoice.tax_minor),
            Paragraph(_("If it is not paid by %(day)s, your subscription ends.") % about),
        ],
    )


def payment_link(subscription: Subscription) -> str:
    """Where the subscriber can pay without logging in: it opens the payment page of this subscription and no more."""
    path = reverse("subscription-payment", args=[PAYMENT_LINK.sign(str(subscription.pk))])
    return f"{settings.PUBLIC_BASE_URL}{path}"


def _read(subscription_id: UUID) -> Subscription:
    return Subscription.objects.select_related("plan", "next_plan", "user").get(pk=subscription_id)


RENEWAL_ANNOUNCED = Message(
    "renewal_announced",
    Audience.BUYER,
    "A period that will be charged ends soon (SUBSCRIPTION_REMINDER_BEFORE).",
    _renewal,
    lambda: _compose_renewal(sample_plan(), timezone.now() + timedelta(days=3), has_method=True),
    needs_open_account=True,
)
RENEWAL_FAILED = Message(
    "renewal_failed",
    Audience.BUYER,
    "A renewal was not paid: the subscription is past due.",
    _renewal_failed,
    lambda: _compose_renewal_failed(sample_subscription(SubscriptionStatus.PAST_DUE), sample_invoice()),
    needs_open_account=True,
)
