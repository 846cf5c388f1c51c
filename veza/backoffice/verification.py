"""The whole ledger, proved every day: what is not true opens a review item with its amount, closed when it is true."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from uuid import UUID

import structlog
from django.db import transaction

from payments.ledger.proof import Fault
from payments.models import LedgerAccount, Payment
from payments.reviews.automatic_refunds import follow_lost_funds_under_review
from payments.reviews.conversions import open_missing_reviews
from veza.backoffice.account_proof import WRONG_SIGN, account_faults, sign_faults, subject_of
from veza.backoffice.proof import prove_all
from veza.core.reviews import close_reviews_except, open_review_of
from veza.core.sweeps import Tally, beat

log = structlog.get_logger(__name__)
WORKER = "backoffice.verify_ledger"
DIFFERS = "ledger_differs"
# As many sentences as one review item repeats; `verify_ledger` names them all.
SHOWN = 3


def faults_of_ledger(tell: Callable[[int], object] = lambda proved: None) -> Iterator[tuple[UUID | None, Fault]]:
    """Everything that is not true, with the payment it is about, if any; `tell` hears how many payments are proved."""
    for proved, proof in enumerate(prove_all(), start=1):
        tell(proved)
        for fault in proof.differences:
            yield proof.payment_id, fault
    for fault in account_faults():
        yield None, fault


def verify_ledger() -> Tally:
    """Prove the ledger, open a review item for each payment that differs, close those that no longer do.

    An amount in doubt that no review item asks for gets one; one about funds that a dispute took closes. Leaves a
    heartbeat that counts payments and differences.
    """
    tally, by_payment = Tally(), defaultdict[UUID | None, list[Fault]](list)
    for payment_id, fault in faults_of_ledger(tell=lambda proved: setattr(tally, "done", proved)):
        by_payment[payment_id].append(fault)
        tally.failed += 1
        tally.last_error = tally.last_error or str(fault)
        log.error("ledger_differs", payment=str(payment_id), fault=str(fault))
    with transaction.atomic():
        _review(by_payment)
        _review_signs()
        open_missing_reviews()
        follow_lost_funds_under_review()
    beat(WORKER, tally)
    return tally


def _review(by_payment: dict[UUID | None, list[Fault]]) -> None:
    standing = []
    for payment_id, faults in by_payment.items():
        subject_id = payment_id or subject_of("ledger", faults[0].currency)
        standing.append(subject_id)
        open_review_of(
            DIFFERS,
            subject=Payment._meta.label_lower if payment_id else LedgerAccount._meta.label_lower,
            subject_id=subject_id,
            correlation_id=_correlation_id(payment_id),
            why=" ".join(f"{fault}." for fault in faults[:SHOWN]),
            what_to_do="Follow the runbook “The ledger differs from the rows” before any money of this order moves.",
            amount_minor=max(fault.amount_minor for fault in faults),
            currency=faults[0].currency,
        )
    close_reviews_except(DIFFERS, standing, note="The proof holds again.")


def _correlation_id(payment_id: UUID | None) -> UUID | None:
    if payment_id is None:
        return None
    return Payment.objects.values_list("correlation_id", flat=True).get(pk=payment_id)


def _review_signs() -> None:
    standing = []
    for subject_id, fault in sign_faults():
        standing.append(subject_id)
        open_review_of(
            WRONG_SIGN,
            subject=LedgerAccount._meta.label_lower,
            subject_id=subject_id,
            correlation_id=None,
            why=f"{fault}.",
            what_to_do="Compare the account with the provider's statement; book what is missing with `book_statement`.",
            amount_minor=fault.amount_minor,
            currency=fault.currency,
        )
    close_reviews_except(WRONG_SIGN, standing, note="The account is on its side again.")
