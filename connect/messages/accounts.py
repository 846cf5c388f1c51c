"""A seller's account at Stripe: what Stripe needs, and a bank account that was changed."""

import hashlib
from datetime import datetime, timedelta
from uuid import UUID

from django.utils import timezone
from django.utils.translation import gettext as _

from connect.models import ConnectedAccount
from connect.stripe.restrictions import bars_transfers
from veza.core.email.content import Content, Line, Notice, Outdated, Paragraph, Table
from veza.core.email.formats import moment
from veza.core.email.messages import Audience, Message
from veza.core.email.outbox import write_email
from veza.core.email.series import fact_of, write_email_if_changed

# Stripe reports several changes within minutes while a seller fills in its forms.
SETTLES_WITHIN = timedelta(minutes=15)


def write_attention_email(account_id: UUID) -> None:
    """Tell the seller what Stripe needs, and that it has all it needs once they were told so.

    Each set of requirements is told once, and again when it is back. The caller has locked the account and just stored
    a snapshot. A seller who has not finished the forms yet knows that.
    """
    account = ConnectedAccount.objects.get(pk=account_id)
    if not account.details_submitted:
        return
    message, occasion = ACCOUNT_IN_ORDER, ""
    if _needs_attention(account):
        message, occasion = ACCOUNT_NEEDS_ATTENTION, _requirements_of(account)
    write_email_if_changed(message, account, to=account.seller_id, occasion=occasion, after=SETTLES_WITHIN)


def write_bank_email(account: ConnectedAccount, *, event_id: str, last_digits: str, at: datetime) -> None:
    """Tell the seller that the bank account behind their payouts was changed, once for each event of Stripe's."""
    write_email(
        BANK_CHANGED, account, to=account.seller_id, occasion=f"{at.isoformat()} {last_digits} {event_id}"[:100]
    )


def _needs_attention(account: ConnectedAccount) -> bool:
    return bool(account.currently_due or account.disabled_reason or not account.transfers_active)


def _requirements_of(account: ConnectedAccount) -> str:
    """The set of requirements, short: another set is another e-mail."""
    parts = [account.disabled_reason, account.transfers_status, *sorted(str(each) for each in account.currently_due)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def _attention(account_id: UUID, occasion: str, /) -> Content | Outdated:
    account = ConnectedAccount.objects.get(pk=account_id)
    if not _needs_attention(account) or _requirements_of(account) != fact_of(occasion):
        return Outdated("Stripe's requirements have changed since.")
    return _compose_attention(account)


def _compose_attention(account: ConnectedAccount) -> Content:
    is_paid = account.transfers_active and not bars_transfers(account.disabled_reason)
    consequence = _("Your sales are still transferred to your account.")
    if not is_paid:
        consequence = _("Your sales go on, and your money waits with us until Stripe accepts your account.")
    wishes = list(dict.fromkeys(_requirement(str(each)) for each in account.currently_due))
    return Content(
        subject_line=_("Your Stripe account needs your attention"),
        headline=_("Stripe needs something from you"),
        blocks=[
            Notice(f"{_reason(account.disabled_reason)} {consequence}".strip(), "plain" if is_paid else "bad"),
            *([Table([Line(wish) for wish in wishes], title=_("What Stripe asks for"))] if wishes else []),
            Paragraph(_("Open your seller's page and continue to Stripe to complete your account.")),
        ],
    )


def _in_order(account_id: UUID, _occasion: str, /) -> Content | Outdated:
    if _needs_attention(ConnectedAccount.objects.get(pk=account_id)):
        return Outdated("Stripe needs something again.")
    return _compose_in_order()


def _compose_in_order() -> Content:
    return Content(
        subject_line=_("Your Stripe account is in order again"),
        headline=_("Stripe has all it needs"),
        blocks=[
            Notice(_("There is nothing you need to do."), "good"),
            Paragraph(_("Stripe accepts what you gave it: your account can receive your money.")),
        ],
    )


def _reason(disabled_reason: str) -> str:
    """Why Stripe disabled the account, for its seller: `restrictions.py` says it to staff."""
    reasons = {
        "": "",
        "requirements.past_due": _("Stripe still needs information that was due."),
        "requirements.pending_verification": _("Stripe is verifying your information."),
        "action_required.requested_capabilities": _("Stripe needs more information to transfer money to you."),
        "listed": _("Stripe is checking your account."),
        "under_review": _("Stripe is reviewing your account."),
        "platform_paused": _("We paused your account. Contact our support."),
    }
    if disabled_reason.startswith("rejected."):
        return _("Your account was rejected. Contact our support.")
    return reasons.get(disabled_reason, _("Stripe has restricted your account."))


def _requirement(name: str) -> str:
    """One of Stripe's requirements in words (docs.stripe.com/connect/custom-accounts/identity-verification)."""
    words = {
        "external_account": _("A bank account for your payouts"),
        "tos_acceptance": _("Your consent to Stripe's terms of service"),
        "business_profile": _("Your line of business and website"),
        "business_type": _("Whether you are an individual or a company"),
        "verification.document": _("A photo of your identity document"),
        "verification.additional_document": _("A document that shows your address"),
        "company.verification": _("A document of your company"),
        "company.tax_id": _("Your company's tax number"),
        "company.owners": _("The owners of your company"),
        "company.directors": _("The directors of your company"),
        "id_number": _("Your identity number"),
        "ssn_last_4": _("The last four digits of your social security number"),
        "address": _("Your address"),
        "dob": _("Your date of birth"),
        "email": _("Your e-mail address"),
        "phone": _("Your telephone number"),
        "first_name": _("Your name"),
        "last_name": _("Your name"),
        "company": _("Details of your company"),
        "representative": _("Who represents your company"),
    }
    sentences = [text for part, text in words.items() if part in name]
    return sentences[0] if sentences else name.replace(".", " ").replace("_", " ").capitalize()


def _bank(_account_id: UUID, occasion: str, /) -> Content | Outdated:
    at, last_digits, _event_id = occasion.split(" ", 2)
    return _compose_bank(last_digits, datetime.fromisoformat(at))


def _compose_bank(last_digits: str, at: datetime) -> Content:
    lines = [Line(_("Changed on"), moment(at))]
    if last_digits:
        lines.append(Line(_("Account number ends in"), last_digits))
    return Content(
        subject_line=_("The bank account of your payouts was changed"),
        headline=_("Your bank account was changed"),
        blocks=[
            Notice(_("A bank account for your payouts was added, changed or removed at Stripe."), "bad"),
            Table(lines),
            Paragraph(_("If this was you, there is nothing to do.")),
            Paragraph(_("If it was not you, change your password and contact our support at once.")),
        ],
    )


def _sample_account() -> ConnectedAccount:
    return ConnectedAccount(
        transfers_active=False,
        transfers_status="inactive",
        disabled_reason="requirements.past_due",
        currently_due=["individual.verification.document", "external_account"],
    )


ACCOUNT_NEEDS_ATTENTION = Message(
    "account_needs_attention",
    Audience.SELLER,
    "Stripe asks a seller for something, or restricts their account; a quarter of an hour later.",
    _attention,
    lambda: _compose_attention(_sample_account()),
    needs_open_account=True,
    series="stripe_account",
)
ACCOUNT_IN_ORDER = Message(
    "account_in_order",
    Audience.SELLER,
    "Stripe has all that a seller was told it needs; a quarter of an hour later.",
    _in_order,
    _compose_in_order,
    needs_open_account=True,
    series="stripe_account",
    is_all_clear=True,
)
BANK_CHANGED = Message(
    "bank_account_changed",
    Audience.SELLER,
    "A bank account was added, changed or removed in Stripe's own pages.",
    _bank,
    lambda: _compose_bank("4242", timezone.now()),
)
