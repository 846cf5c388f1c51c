"""Which web request a worker's log line goes back to."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import structlog
from django.db import Error

from veza.core.models import KeyedRow, StatusChange


@contextmanager
def following(row: KeyedRow, *, sweep: str) -> Iterator[None]:
    """Inside, every line logged carries the sweep, the row, its story, and the request that last moved the story.

    Nothing is queued from a request, so no message carries its id; the story's moves remember it. So one search for an
    id finds what the buyer asked, what the webhook brought, and what a worker did about it minutes later.
    """
    about = {"sweep": sweep, "row": str(row.pk)}
    story_id = getattr(row, "story_id", None)
    if story_id is not None:
        about |= {"story": str(story_id), "request_id": _last_request(story_id)}
    with structlog.contextvars.bound_contextvars(**about):
        yield


def _last_request(story_id: UUID) -> str:
    moves = StatusChange.objects.filter(story_id=story_id).exclude(request_id="").order_by("-at")
    try:
        return moves.values_list("request_id", flat=True).first() or ""
    except Error:  # The work itself will meet the same database, and say so.
        return ""
