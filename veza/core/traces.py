"""Which web request a worker's log line goes back to."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from uuid import UUID

import structlog
from django.db import Error

from veza.core.models import KeyedRow, StatusChange


def last_requests(rows: Iterable[KeyedRow]) -> Mapping[UUID, str]:
    """By row, the web request that last moved its story: one query for a whole batch.

    Nothing is queued from a request, so no message carries its id; the story's moves remember it.
    """
    stories = {row.pk: story for row in rows if (story := getattr(row, "correlation_id", None)) is not None}
    moves = StatusChange.objects.filter(correlation_id__in=set(stories.values())).exclude(request_id="")
    newest = (
        moves.order_by("correlation_id", "-at").distinct("correlation_id").values_list("correlation_id", "request_id")
    )
    try:
        asked_by = dict(newest)
    except Error:  # The work itself will meet the same database, and say so.
        return {}
    return {key: asked_by[story] for key, story in stories.items() if story in asked_by}


@contextmanager
def following(row: KeyedRow, *, sweep: str, request_id: str) -> Iterator[None]:
    """Inside, every line logged carries the sweep, the row, its story, and the request that last moved the story.

    So one search for an id finds what the buyer asked, what the webhook brought, and what a worker did about it
    minutes later.
    """
    about = {"sweep": sweep, "row": str(row.pk)}
    correlation_id = getattr(row, "correlation_id", None)
    if correlation_id is not None:
        about |= {"correlation_id": str(correlation_id), "request_id": request_id}
    with structlog.contextvars.bound_contextvars(**about):
        yield
