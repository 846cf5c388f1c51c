"""The kinds of review items in the language of a reader. The admin, which is in English, shows the same words."""

from django.utils.translation import gettext, gettext_noop

from veza.core.words import format_status


def label_of(kind: str) -> str:
    """A kind of review item in the active language: `Refund returned`."""
    return gettext(format_status(kind).capitalize())


# Nothing reads these: they bring the labels into the catalogues. A test compares them with the kinds.
LABELS = (
    gettext_noop("Payment mismatch"),
    gettext_noop("Payment status unknown"),
    gettext_noop("Payment contradicted"),
    gettext_noop("Payment amount missing"),
    gettext_noop("Refund contradicted"),
    gettext_noop("Payment voided"),
    gettext_noop("Unapplied funds"),
    gettext_noop("External refund"),
    gettext_noop("Refund amount differs"),
    gettext_noop("Refund returned"),
    gettext_noop("Refund exceeds payment"),
    gettext_noop("Refund in doubt"),
    gettext_noop("Refund overdue"),
    gettext_noop("Refund to decide"),
    gettext_noop("Refund decision late"),
    gettext_noop("Amount in doubt"),
    gettext_noop("Dispute to answer"),
    gettext_noop("Dispute exceeds payment"),
    gettext_noop("Dispute status unknown"),
    gettext_noop("Unknown profile"),
    gettext_noop("Delivery unsettled"),
    gettext_noop("Unknown event"),
    gettext_noop("Unreadable event"),
    gettext_noop("Order disputed in part"),
    gettext_noop("License not restored"),
    gettext_noop("Seller suspension due"),
    gettext_noop("Seller hold due"),
    gettext_noop("Closed seller owed"),
    gettext_noop("Closed seller balance"),
    gettext_noop("Closed seller debt"),
    gettext_noop("Transfer failed"),
    gettext_noop("Reversal failed"),
    gettext_noop("External reversal"),
    gettext_noop("Transfer reversed twice"),
    gettext_noop("Transfer sent twice"),
    gettext_noop("Transfer not readable"),
    gettext_noop("Reversals cannot be listed"),
    gettext_noop("Account gone"),
    gettext_noop("Accounts gone"),
    gettext_noop("Account status unknown"),
    gettext_noop("Payout not readable"),
    gettext_noop("Payout status unknown"),
    gettext_noop("Debt written off"),
    gettext_noop("Hyperswitch auth rejected"),
    gettext_noop("Stripe auth rejected"),
    gettext_noop("Ledger differs"),
    gettext_noop("Account on wrong side"),
    gettext_noop("Smtp auth rejected"),
    gettext_noop("Email failed"),
    gettext_noop("Subscription charges stopped"),
)
