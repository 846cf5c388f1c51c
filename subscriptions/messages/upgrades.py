"""An upgrade that was not paid."""

from uuid import UUID

from django.utils.translation import gettext as _

from payments.models import Payment
from payments.states import PaymentStatus
from subscriptions.messages.samples import sample_invoice
from subscriptions.models import SubscriptionInvoice
from subscriptions.states import InvoiceStatus
from veza.core.email.content import Content, Notice, Outdated, Paragraph
from veza.core.email.formats import money
from veza.core.email.messages import Audience, Message
from veza.core.email.outbox import write_email


def write_upgrade_failed(invoice: SubscriptionInvoice, payment: Payment) -> None:
    """Tell the subscriber, once for each payment that failed, that their plan is as it was. Not for a page that was
    left unpaid.
    """
    if payment.status == PaymentStatus.FAILED:
        write_email(UPGRADE_FAILED, invoice, to=payment.payer_id, occasion=str(payment.pk))


def _upgrade_failed(invoice_id: UUID, _occasion: str, /) -> Content | Outdated:
    invoice = SubscriptionInvoice.objects.select_related("plan", "subscription__plan").get(pk=invoice_id)
    if invoice.status != InvoiceStatus.FAILED:
        return Outdated("The upgrade was paid since, or withdrawn.")
    return _compose(invoice, invoice.subscription.plan.name)


def _compose(invoice: SubscriptionInvoice, current: str) -> Content:
    about = {"plan": invoice.plan.name, "current": current, "total": money(invoice.total_minor, invoice.currency)}
    return Content(
        subject_line=_("Your plan was not changed to %(plan)s") % about,
        headline=_("Your upgrade was not paid"),
        blocks=[
            Paragraph(_("The payment of %(total)s for your upgrade to %(plan)s failed.") % about),
            Notice(_("Nothing was charged, and your subscription to %(current)s goes on as before.") % about),
            Paragraph(_("You can upgrade again in your account at any time, also with another card.")),
        ],
    )


UPGRADE_FAILED = Message(
    "upgrade_failed",
    Audience.BUYER,
    "The payment of an upgrade failed: the plan is as it was.",
    _upgrade_failed,
    lambda: _compose(sample_invoice(), "Starter"),
)
