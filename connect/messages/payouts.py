"""Payouts to a seller's bank."""

from uuid import UUID

from django.utils import timezone
from django.utils.translation import gettext as _

from connect.models import SellerPayout
from connect.states import PayoutStatus
from veza.core.email.content import Content, Line, Notice, Outdated, Paragraph, Table
from veza.core.email.formats import moment, money
from veza.core.email.messages import Audience, Message
from veza.core.email.outbox import write_email
from veza.core.words import format_status

_SENT = (PayoutStatus.IN_TRANSIT, PayoutStatus.PAID)
_FAILED = (PayoutStatus.FAILED, PayoutStatus.CANCELLED)
CHECKED_BY_US = ("payout_exceeds_balance", "payout_not_mature")


def write_payout_email(payout: SellerPayout) -> None:
    """Tell the seller that a payout is on its way, or that it came to nothing. A bank may return one that was paid."""
    if payout.status in _SENT:
        write_email(PAYOUT_SENT, payout, to=payout.seller_id)
    elif payout.status in _FAILED:
        write_email(PAYOUT_FAILED, payout, to=payout.seller_id)


def _on_its_way(payout_id: UUID, _occasion: str, /) -> Content | Outdated:
    payout = SellerPayout.objects.get(pk=payout_id)
    if payout.status not in _SENT:
        return Outdated(f"The payout is {format_status(payout.status)} now.")
    return _compose_sent(payout)


def _compose_sent(payout: SellerPayout) -> Content:
    return Content(
        subject_line=_("Your payout of %(amount)s is on its way")
        % {"amount": money(payout.amount_minor, payout.currency)},
        headline=_("Your payout is on its way to your bank"),
        amount=money(payout.amount_minor, payout.currency),
        blocks=[
            _facts(payout),
            Paragraph(_("Banks take one to three working days. We will write again if your bank returns it.")),
        ],
    )


def _failure(payout_id: UUID, _occasion: str, /) -> Content | Outdated:
    payout = SellerPayout.objects.get(pk=payout_id)
    if payout.status not in _FAILED:
        return Outdated(f"The payout is {format_status(payout.status)} now.")
    return _compose_failed(payout)


def _compose_failed(payout: SellerPayout) -> Content:
    reason = _reasons().get(payout.failure_code) or payout.failure_message or _("Stripe gave no reason.")
    return Content(
        subject_line=_("Your payout of %(amount)s failed") % {"amount": money(payout.amount_minor, payout.currency)},
        headline=_("Your payout did not reach your bank"),
        amount=money(payout.amount_minor, payout.currency),
        blocks=[
            Notice(reason, "bad"),
            _facts(payout),
            Paragraph(_what_to_do(payout)),
        ],
    )


def _what_to_do(payout: SellerPayout) -> str:
    if payout.failure_code in CHECKED_BY_US:
        return _("The money stays in your Stripe account. Your balance says how much you can pay out, and when.")
    return _("The money is in your Stripe account. Check your bank account there, then pay it out again.")


def _facts(payout: SellerPayout) -> Table:
    return Table([Line(_("Requested on"), moment(payout.created_at)), Line(_("Payout"), payout.shown_id)])


def _reasons() -> dict[str, str]:
    """Stripe's failure codes of payouts that a seller can do something about (docs.stripe.com/api/payouts/failures),
    and ours of payouts that were never sent.
    """
    return {
        "account_closed": _("The bank account is closed."),
        "account_frozen": _("The bank account is frozen."),
        "bank_account_restricted": _("The bank account does not accept payouts."),
        "bank_account_unusable": _("The bank account cannot be used."),
        "bank_ownership_changed": _("The bank account belongs to another owner by now."),
        "could_not_process": _("The bank could not process the payout."),
        "debit_not_authorized": _("The bank account does not allow this."),
        "declined": _("The bank declined the payout."),
        "incorrect_account_holder_name": _("The name of the account holder is wrong."),
        "incorrect_account_type": _("The type of the bank account is wrong."),
        "insufficient_funds": _("The balance of your Stripe account was too low."),
        "invalid_account_number": _("The number of the bank account is wrong."),
        "invalid_currency": _("The bank account does not accept this currency."),
        "no_account": _("The bank account was not found."),
        "unsupported_card": _("The card does not accept payouts."),
        "payout_exceeds_balance": _("Part of the money was asked back before the payout could be sent."),
        "payout_not_mature": _("Part of the money is from sales that are too new to be paid out."),
    }


def _sample(status: str, **fields: str) -> SellerPayout:
    return SellerPayout(amount_minor=120_00, currency="EUR", status=status, created_at=timezone.now(), **fields)


PAYOUT_SENT = Message(
    "payout_sent",
    Audience.SELLER,
    "Stripe sent a payout to the seller's bank.",
    _on_its_way,
    lambda: _compose_sent(_sample(PayoutStatus.IN_TRANSIT)),
    optional=True,
)
PAYOUT_FAILED = Message(
    "payout_failed",
    Audience.SELLER,
    "A payout was refused, cancelled, or returned by the seller's bank.",
    _failure,
    lambda: _compose_failed(_sample(PayoutStatus.FAILED, failure_code="account_closed")),
)
