"""Deleting a saved method at Hyperswitch, because its payer does not want to pay by it any more.

The row is committed with the payer's request, and the worker makes the call until Hyperswitch confirms it.
"""

from uuid import UUID

from django.db import connection
from django.db.models.functions import Now

from payments.hyperswitch import client
from payments.hyperswitch.health import HEALTH
from payments.models import MethodDeletion, MethodSetup, Payment
from payments.retry_policy import REFUSED_DELETION_AFTER, retry_after
from veza.core import calls, writes
from veza.core.outcomes import Accepted, Outcome, Refused

DELETED = "deleted"


def delete_soon(payment_method_id: str, *, correlation_id: UUID) -> None:
    """Have the worker delete the method, in the caller's transaction. One that is to be deleted already stays so."""
    assert connection.in_atomic_block, "a method is deleted because of what the caller commits"
    assert payment_method_id, "only a saved method can be deleted"
    MethodDeletion.objects.bulk_create(
        [MethodDeletion(payment_method_id=payment_method_id, correlation_id=correlation_id, next_attempt_at=Now())],
        ignore_conflicts=True,
    )


def delete_method(deletion_id: UUID) -> str:
    """Delete the method at Hyperswitch, unless its payer has saved it again since. Safe to repeat. Returns the result.

    Hyperswitch gives the same card the same id, so a payment on a page may have saved the method again.
    """
    deletion = MethodDeletion.objects.get(pk=deletion_id)
    if deletion.next_attempt_at is None:
        return "nothing to delete"
    if is_saved_again(deletion):
        MethodDeletion.objects.filter(pk=deletion_id).update(next_attempt_at=None)
        return "saved again"
    outcome = client.delete_payment_method(deletion.payment_method_id)
    _record(deletion_id, outcome)
    return HEALTH.stop_reason(outcome) or (DELETED if _is_gone(outcome) else "not deleted")


def is_saved_again(deletion: MethodDeletion) -> bool:
    """Whether its payer has saved the method since the deletion was requested."""
    pages = Payment.objects.filter(correlation_id=deletion.correlation_id, off_session=False)
    paid = pages.filter(payment_method_id=deletion.payment_method_id, succeeded_at__gt=deletion.requested_at)
    setups = MethodSetup.objects.filter(correlation_id=deletion.correlation_id, finished_at__gt=deletion.requested_at)
    return paid.exists() or setups.filter(payment_method_id=deletion.payment_method_id).exists()


def _is_gone(outcome: Outcome[object]) -> bool:
    return isinstance(outcome, Accepted) or (isinstance(outcome, Refused) and outcome.code == client.DOES_NOT_EXIST)


@writes.atomic()
def _record(deletion_id: UUID, outcome: Outcome[object]) -> None:
    deletion = MethodDeletion.objects.get(pk=deletion_id)
    calls.record(outcome, subject=deletion, our_id=deletion.payment_method_id)
    rows = MethodDeletion.objects.filter(pk=deletion_id)
    if _is_gone(outcome):
        rows.update(deleted_at=Now(), next_attempt_at=None)
        return
    wait = REFUSED_DELETION_AFTER if isinstance(outcome, Refused) else retry_after(deletion.attempts)
    rows.update(attempts=min(deletion.attempts + 1, 1_000), next_attempt_at=Now() + wait)
