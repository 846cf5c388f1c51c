"""The record of every call to a provider."""

from datetime import timedelta

from django.db.models import QuerySet

from veza.core import writes
from veza.core.ids import first_id_since
from veza.core.models import KeyedRow, ProviderCall, correlation_id_of
from veza.core.outcomes import Accepted, NotSent, Outcome, Refused, Unknown


def record(outcome: Outcome[object], *, subject: KeyedRow, our_id: str) -> None:
    """Record a call for `subject` under `our_id`: its outcome and how long it took."""
    match outcome:
        case Accepted():
            kind, detail = "accepted", ""
        case Refused(code=code, message=message):
            kind, detail = "refused", f"{code} {message}".strip()
        case NotSent(why=why):
            kind, detail = "not sent", why
        case Unknown(why=why):
            kind, detail = "unknown", why
    call = outcome.call
    row = {
        "provider": call.provider,
        "subject": subject._meta.label_lower,
        "subject_id": subject.pk,
        "correlation_id": correlation_id_of(subject),
        "our_id": our_id,
        "method": call.method,
        "path": call.path[:200],
        "outcome": kind,
        "detail": detail[:300],
        "status": call.status,
        "milliseconds": call.milliseconds,
    }
    writes.insert_values(ProviderCall, [row])


def latest_of(provider: str, *, within: timedelta) -> QuerySet[ProviderCall]:
    """The calls to `provider` within a time, newest first: an index has them in that order."""
    return ProviderCall.objects.filter(provider=provider, pk__gte=first_id_since(within)).order_by("-pk")
