"""A renewal that is announced, and one that was not paid."""

from datetime import date, datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.core.signing import TimestampSigner
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from payments.models import Payment
from subscriptions.chargebacks import are_charges_stopped
from subscriptions.declines import Decline, decline_of
from subscriptions.dunning import charges_of
from subscriptions.messages.samples import sample_invoice, sample_plan, sample_subscription
from subscriptions.messages.wording import price_table
from subscriptions.models import Plan, Subscription, SubscriptionInvoice
from subscriptions.periods import grace_ends_at
from subscriptions.prices import plan_at_renewal
from subscriptions.states import RENEWING, SubscriptionStatus
from veza.core.email.content import Block, Button, Content, Notice, Outdated, Paragraph
from veza.core.email.formats import day, money
from veza.core.email.messages import Audience, Message
from veza.core.email.outbox import write_email
from veza.core.email.series import fact_of

PAYMENT_LINK = TimestampSigner(salt="subscriptions.payment_link")


def write_renewal_failed(subscription: Subscription, invoice: SubscriptionInvoice) -> None:
    """Tell the subscriber, once for each charge that failed, that a renewal was not paid and how to pay it."""
    charges = charges_of(invoice.pk)
    occasion = f"{invoice.pk} {charges[-1].pk}" if charges else str(invoice.pk)
    write_email(RENEWAL_FAILED, subscription, to=subscription.user_id, occasion=occasion)


def renewal_occasion(subscription: Subscription) -> str:
    """What is announced: a renewal at this time, to this plan, in this way. If one changes, it is announced again."""
    end_at, plan_id = subscription.period_end_at, plan_at_renewal(subscription).pk
    way = "charge" if is_charged(subscription) else "page"
    return f"{end_at.isoformat() if end_at else ''} {plan_id} {way}"


def is_charged(subscription: Subscription) -> bool:
    """Whether the next renewal is charged to a saved method; otherwise the subscriber is asked to pay."""
    return bool(subscription.hyperswitch_payment_method_id) and not are_charges_stopped(subscription)


def _renewal(subscription_id: UUID, occasion: str, /) -> Content | Outdated:
    subscription = _read(subscription_id)
    if subscription.status not in RENEWING or subscription.cancel_at_period_end:
        return Outdated("The subscription does not renew any more.")
    if subscription.period_end_at is None or renewal_occasion(subscription) != fact_of(occasion):
        return Outdated("The plan, the period or the payment method has changed since.")
    plan = plan_at_renewal(subscription)
    has_method, is_saved = is_charged(subscription), bool(subscription.hyperswitch_payment_method_id)
    return _compose_renewal(plan, subscription.period_end_at, has_method=has_method, is_stopped=is_saved)


def _compose_renewal(plan: Plan, renews_at: datetime, *, has_method: bool, is_stopped: bool = False) -> Content:
    total = money(plan.total_minor, plan.currency)
    about = {"plan": plan.name, "day": day(renews_at), "total": total}
    method: Block = Paragraph(_("It will be charged to your saved payment method."))
    if not has_method:
        method = Notice(_("You have no saved payment method: we will ask you to pay."), "bad")
        if is_stopped:
            method = Notice(
                _("Your bank disputes an earlier payment: we charge nothing and will ask you to pay."), "bad"
            )
    return Content(
        subject_line=_("Your subscription to %(plan)s renews on %(day)s") % about,
        headline=_("Your subscription renews soon"),
        amount=total,
        blocks=[
            Paragraph(_("On %(day)s your subscription to %(plan)s renews for %(total)s.") % about),
            price_table(plan, plan.price_minor, plan.tax_minor),
            method,
            Paragraph(_("To stop the renewal, cancel your subscription before that day.")),
        ],
    )


def _renewal_failed(subscription_id: UUID, occasion: str, /) -> Content | Outdated:
    subscription = _read(subscription_id)
    if subscription.status != SubscriptionStatus.PAST_DUE:
        return Outdated("The renewal is not past due any more.")
    invoice_id, _space, charge_id = occasion.partition(" ")
    invoice = SubscriptionInvoice.objects.select_related("plan").get(pk=invoice_id)
    charges = charges_of(invoice.pk)
    if charge_id and str(charges[-1].pk) != charge_id:
        return Outdated("The saved payment method was charged again since.")
    return _compose_renewal_failed(subscription, invoice, _way_on(subscription, invoice, charges))


def _way_on(subscription: Subscription, invoice: SubscriptionInvoice, charges: list[Payment]) -> str:
    """What happens next, and what the subscriber can do."""
    decline = decline_of(charges[-1]) if charges else Decline.SOFT
    if decline == Decline.NEEDS_PAYER:
        return _("Your bank wants you to confirm this payment yourself: please pay now.")
    if decline == Decline.HARD:
        return _("Your saved payment method cannot be charged any more: please pay now with another one.")
    if not subscription.hyperswitch_payment_method_id:
        return _("You have no saved payment method: please pay now.")
    if are_charges_stopped(subscription):
        return _("Your bank disputes an earlier payment, so we charged nothing by ourselves: please pay now.")
    if subscription.due_at is not None and subscription.due_at < grace_ends_at(invoice):
        when = {"day": day(subscription.due_at)}
        return _("We will try your saved payment method again on %(day)s. You can also pay now.") % when
    return _("We will not try your saved payment method again: please pay now.")


def _compose_renewal_failed(subscription: Subscription, invoice: SubscriptionInvoice, again: str) -> Content:
    about = {"plan": invoice.plan.name, "day": day(grace_ends_at(invoice))}
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


def _sample_failed() -> Content:
    when = {"day": day(timezone.now() + timedelta(days=1))}
    again = _("We will try your saved payment method again on %(day)s. You can also pay now.") % when
    return _compose_renewal_failed(sample_subscription(SubscriptionStatus.PAST_DUE), sample_invoice(), again)


def _card_expires(subscription_id: UUID, occasion: str, /) -> Content | Outdated:
    subscription = _read(subscription_id)
    if subscription.status not in RENEWING or subscription.cancel_at_period_end or not is_charged(subscription):
        return Outdated("The saved card is not charged any more.")
    if subscription.method_expires_on is None or subscription.method_expires_on.isoformat() != occasion:
        return Outdated("Another card is saved now.")
    return _compose_card_expires(subscription, subscription.method_expires_on)


def _compose_card_expires(subscription: Subscription, expires_on: date) -> Content:
    about = {"plan": subscription.plan.name, "day": day(expires_on)}
    return Content(
        subject_line=_("The card that pays for %(plan)s expires on %(day)s") % about,
        headline=_("Your saved card expires soon"),
        blocks=[
            Paragraph(_("The card that pays for your subscription to %(plan)s expires on %(day)s.") % about),
            Notice(_("If your bank sends you a new one, or you want to use another, replace it in your account.")),
        ],
    )


CARD_EXPIRES = Message(
    "card_expires",
    Audience.BUYER,
    "The saved card of a subscription that renews expires soon (SUBSCRIPTION_CARD_WARNING_BEFORE).",
    _card_expires,
    lambda: _compose_card_expires(sample_subscription(SubscriptionStatus.ACTIVE), timezone.now().date()),
)
RENEWAL_ANNOUNCED = Message(
    "renewal_announced",
    Audience.BUYER,
    "A period that will be charged ends soon (SUBSCRIPTION_REMINDER_BEFORE).",
    _renewal,
    lambda: _compose_renewal(sample_plan(), timezone.now() + timedelta(days=3), has_method=True),
    needs_open_account=True,
    series="renewal",
)
RENEWAL_FAILED = Message(
    "renewal_failed",
    Audience.BUYER,
    "A renewal was not paid: the subscription is past due.",
    _renewal_failed,
    _sample_failed,
    needs_open_account=True,
)
