"""The receipt of an invoice, and the end of a subscription."""

from uuid import UUID

from django.utils import timezone
from django.utils.translation import gettext as _

from subscriptions.messages.samples import sample_invoice, sample_subscription
from subscriptions.messages.wording import price_table
from subscriptions.models import Subscription, SubscriptionInvoice
from subscriptions.states import RENEWING, SubscriptionStatus
from veza.core.email.content import Content, Line, Notice, Outdated, Paragraph, Table
from veza.core.email.formats import day, moment, money
from veza.core.email.messages import Audience, Message
from veza.core.email.outbox import write_email
from veza.core.models import User


def write_ended(subscription: Subscription) -> None:
    """Tell the subscriber that a subscription ended which gave access. One that was never paid is not missed."""
    if subscription.period_start_at is not None and subscription.ended_at is not None:
        occasion = subscription.ended_at.isoformat()
        write_email(SUBSCRIPTION_ENDED, subscription, to=subscription.user_id, occasion=occasion)


def _receipt(invoice_id: UUID, _occasion: str, /) -> Content | Outdated:
    invoice = SubscriptionInvoice.objects.select_related("plan", "subscription__user").get(pk=invoice_id)
    if invoice.paid_at is None:
        return Outdated("The invoice is not paid.")
    return _compose_receipt(invoice, invoice.subscription.user)


def _compose_receipt(invoice: SubscriptionInvoice, user: User) -> Content:
    period = _("%(start)s to %(end)s") % {"start": day(invoice.period_start_at), "end": day(invoice.period_end_at)}
    return Content(
        subject_line=_("Your receipt for %(plan)s") % {"plan": invoice.plan.name},
        headline=_("Thank you for your payment"),
        amount=money(invoice.total_minor, invoice.currency),
        blocks=[
            price_table(
                invoice.plan,
                invoice.net_minor,
                invoice.tax_minor,
                title=invoice.plan.name,
                credit_minor=invoice.credit_net_minor,
            ),
            Table(
                [
                    Line(_("Invoice"), invoice.shown_id),
                    Line(_("Period"), period),
                    Line(_("Paid on"), moment(invoice.paid_at or invoice.created_at)),
                    *([Line(_("Subscriber"), user.name)] if user.name else []),
                    Line(_("E-mail"), user.email),
                ]
            ),
            Paragraph(_("Your plan is active. You can change or cancel it in your account at any time.")),
        ],
    )


def _ended(subscription_id: UUID, occasion: str, /) -> Content | Outdated:
    subscription = Subscription.objects.select_related("plan").get(pk=subscription_id)
    is_same = subscription.ended_at is not None and subscription.ended_at.isoformat() == occasion
    if subscription.status in RENEWING or not is_same:
        return Outdated("The subscription has been resumed.")
    return _compose_ended(subscription)


def _compose_ended(subscription: Subscription) -> Content:
    about = {"plan": subscription.plan.name, "day": day(subscription.ended_at or timezone.now())}
    why = _("It was not paid in time, or its payment was returned to you.")
    if subscription.status == SubscriptionStatus.CANCELLED:
        why = _("It was cancelled. Nothing will be charged any more.")
    return Content(
        subject_line=_("Your subscription to %(plan)s has ended") % about,
        headline=_("Your subscription has ended"),
        blocks=[
            Paragraph(_("Your subscription to %(plan)s ended on %(day)s.") % about),
            Notice(why),
            Paragraph(_("You can subscribe again at any time.")),
        ],
    )


INVOICE_RECEIPT = Message(
    "invoice_receipt",
    Audience.BUYER,
    "An invoice of a subscription was paid.",
    _receipt,
    lambda: _compose_receipt(sample_invoice(), User(name="Ada Example", email="ada@example.com")),
)
SUBSCRIPTION_ENDED = Message(
    "subscription_ended",
    Audience.BUYER,
    "A subscription that gave access was cancelled or expired.",
    _ended,
    lambda: _compose_ended(sample_subscription(SubscriptionStatus.EXPIRED)),
    needs_open_account=True,
)
