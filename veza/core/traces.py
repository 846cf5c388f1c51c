"""Ties a worker's log lines to the web request that they go back to."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from uuid import UUID

import structlog
from django.db import Error

from veza.core.models import KeyedRow, StatusChange


def last_requests(rows: Iterable[KeyedRow]) -> Mapping[UUID, str]:
    """By row, the web request that last moved a row with its correlation id: one query for a whole batch.

    Nothing is queued from a request, so no message carries its id; the status changes do.
    """
    keys = {row.pk: key for row in rows if (key := getattr(row, "correlation_id", None)) is not None}
    moves = StatusChange.objects.filter(correlation_id__in=set(keys.values())).exclude(request_id="")
    newest = (
        moves.order_by("correlation_id", "-at").distinct("correlation_id").values_list("correlation_id", "request_id")
    )
    try:
        requests = dict(newest)
    except Error:  # The work itself will meet the same database, and say so.
        return {}
    return {pk: requests[key] for pk, key in keys.items() if key in requests}


@contextmanager
def bind_row(row: KeyedRow, *, sweep: str, request_id: str) -> Iterator[None]:
    """Inside, every log line carries the sweep, the row, its correlation id, and the last request for that id.

    So one search for an id finds the buyer's request, the webhook, and what a worker did about it minutes later.
    """
    context = {"sweep": sweep, "row": str(row.pk)}
    correlation_id = getattr(row, "correlation_id", None)
    if correlation_id is not None:
        context |= {"correlation_id": str(correlation_id), "request_id": request_id}
    with structlog.contextvars.bound_contextvars(**context):
        yield
