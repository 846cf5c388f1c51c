"""The proof of amounts in other currencies than their payment's."""

from collections.abc import Iterable, Mapping

from payments.ledger.chart_of_accounts import RECOVERABLE, UNAPPLIED
from payments.ledger.proof import Entry, Fault, is_paid_out
from payments.models import Dispute, Refund
from veza.core.money import format_amount


def explain_conversion(row: Refund | Dispute, entries: Iterable[Entry], received: Mapping[str, int]) -> list[Fault]:
    """Only an amount in another currency is converted, with all it was posted with before; one that is not takes from
    no share, but from what was received in its own (`received`: {currency: minor units}).
    """
    held_currency = row.payment.held_currency
    numbers = {entry.number for entry in entries}
    # A dispute of nothing is posted in a batch without lines.
    is_exact = isinstance(row, Refund) or row.converted_minor is not None
    if max(numbers, default=0) > row.posting_batches or (is_exact and len(numbers) != row.posting_batches):
        what = f"{row._meta.verbose_name} {row.pk} of {format_amount(row.amount_minor, row.currency)}"
        text = f"{what}: {len(numbers)} of its {row.posting_batches} batches are posted"
        return [Fault(text, row.amount_minor, row.currency)]
    if row.converted_minor is not None and row.currency == held_currency:
        text = f"{row._meta.verbose_name} {row.pk}: its amount was converted, and is in {held_currency} itself"
        return [Fault(text, row.converted_minor, held_currency)]
    own_accounts = {RECOVERABLE, UNAPPLIED} if row.booked_currency in received else {RECOVERABLE}
    if row.booked_currency == held_currency or set(row.allocation) <= own_accounts:
        return []
    if isinstance(row, Refund) and not is_paid_out(row):
        return []
    text = (
        f"{row._meta.verbose_name} {row.pk}: {format_amount(row.amount_minor, row.currency)} takes from shares in "
        f"{held_currency}, and its amount in {held_currency} is not known"
    )
    return [Fault(text, row.amount_minor, row.currency)]
