"""A seller's statement: every line of their account with us in a period, with its cause and the balance after it.

Read from the ledger alone, oldest first, in memory that does not grow with the number of lines.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from uuid import UUID

from django.db.models import Q, Sum

from connect.models import SellerTransfer, TransferReversal
from payments.accounts import seller_account
from payments.models import Posting
from veza.core.errors import NotAllowed

CHUNK = 1_000
_KINDS = {
    "order": "sale",
    "refund": "refund",
    "dispute": "dispute",
    "transfer": "transfer",
    "reversal": "reversal",
    "case": "correction",
}


class PeriodWrong(NotAllowed):
    code = "period_wrong"


@dataclass(frozen=True)
class Line:
    """One movement of a seller's account with us. Amounts are minor units; above zero is in the seller's favour."""

    at: datetime
    kind: str
    order_id: UUID
    amount_minor: int
    balance_minor: int
    currency: str
    stripe_id: str
    cause: str


def statement_of(seller_id: UUID, *, since: datetime, until: datetime) -> Iterator[Line]:
    """The lines with `since` <= at < `until`, each currency with a running balance of its own. Raises PeriodWrong."""
    if since >= until:
        raise PeriodWrong("The period ends before it begins.")
    return _lines(seller_account(seller_id), since=since, until=until)


def _lines(account: str, *, since: datetime, until: datetime) -> Iterator[Line]:
    balance = _opening(account, since)
    own = Posting.objects.filter(Q(debit=account) | Q(credit=account), at__gte=since, at__lt=until)
    rest = own.order_by("at", "pk").iterator(chunk_size=CHUNK)
    while some := list(islice(rest, CHUNK)):
        names = _stripe_ids(some)
        for posting in some:
            signed = posting.amount_minor if posting.credit_id == account else -posting.amount_minor
            balance[posting.currency] = balance.get(posting.currency, 0) + signed
            kind, _, _ = posting.cause.partition(":")
            yield Line(
                posting.at,
                _KINDS.get(kind, kind),
                posting.story_id,
                signed,
                balance[posting.currency],
                posting.currency,
                names.get(posting.cause, ""),
                posting.cause,
            )


def _opening(account: str, since: datetime) -> dict[str, int]:
    """What the account stood at before the period, by currency."""
    balance: dict[str, int] = {}
    for side, sign in (("credit", 1), ("debit", -1)):
        before = Posting.objects.filter(**{side: account}, at__lt=since)
        for currency, amount in before.values_list("currency").annotate(sum=Sum("amount_minor")):
            balance[currency] = balance.get(currency, 0) + sign * amount
    return balance


def _stripe_ids(postings: Iterable[Posting]) -> dict[str, str]:
    """By cause, what Stripe calls the transfer or the reversal behind it."""
    causes = [posting.cause for posting in postings]
    transfers = [UUID(cause.partition(":")[2]) for cause in causes if cause.startswith("transfer:")]
    sent = SellerTransfer.objects.filter(pk__in=transfers).values_list("pk", "stripe_transfer_id")
    names = {f"transfer:{pk}": name or "" for pk, name in sent}
    back = [cause.partition(":")[2] for cause in causes if cause.startswith("reversal:")]
    made = TransferReversal.objects.filter(stripe_reversal_id__in=back).values_list("stripe_reversal_id", flat=True)
    return names | {f"reversal:{name}": name or "" for name in made}
