"""The proof as a page shows it: accounts by the names a person knows, nothing that is zero on both sides."""

from uuid import UUID

from payments.ledger.proof import Term
from payments.models import Payment
from payments.timeline import account_names
from veza.backoffice.proof import prove_payment
from veza.core.timeline import ProofLine

_HELD_BY = "held by "
# The line that has to be zero is shown because it is.
BALANCE = "captured + recoverable - everything else"


def proof_lines(correlation_id: UUID) -> list[ProofLine]:
    """Every term of every payment of a story that says something: an amount, or a difference."""
    payments = Payment.objects.filter(correlation_id=correlation_id).order_by("pk")
    terms = [term for payment in payments for term in prove_payment(payment).terms]
    if not any(term.booked_minor for term in terms):
        terms = [term for term in terms if not term.holds]
    telling = [term for term in terms if term.booked_minor or not term.holds or term.label == BALANCE]
    names = account_names({code for term in telling if (code := _account(term))})
    return [ProofLine(_in_words(term, names), term.booked_minor, term.currency, term.holds) for term in telling]


def _account(term: Term) -> str:
    return term.label.removeprefix(_HELD_BY) if term.label.startswith(_HELD_BY) else ""


def _in_words(term: Term, names: dict[str, str]) -> str:
    code = _account(term)
    return f"held by {names[code]}" if code else term.label
