"""A backlog is shared: a worker that meets one asks others to join, and goes on when its minute is over.

Rows stay the queue. What is sent here says no more than what beat says anyway: look now. So a message that is lost, or
a broker that is away, costs no more than the time until beat's next one.
"""

from collections.abc import Callable
from datetime import timedelta

import structlog
from celery import Task
from django.conf import settings
from kombu.exceptions import OperationalError

log = structlog.get_logger(__name__)
# A helper that finds no free worker for so long is not needed any more, or will be asked for again.
JOIN_WITHIN = timedelta(seconds=30)


def helpers_for(task: Task, helpers: int | None) -> Callable[[], None]:
    """What a tick of `task` calls when it meets a backlog: one more worker joins, which may call the next one.

    `helpers` is what the tick was told by whoever called it; None when beat did. At most SWEEP_HELPERS join.
    """
    left = settings.SWEEP_HELPERS if helpers is None else helpers

    def call() -> None:
        if left > 0:
            _send(task, within=JOIN_WITHIN, helpers=left - 1)

    return call


def go_on(task: Task, *, within: timedelta) -> None:
    """Run `task` once more behind what is waiting already: its time was over and its work was not."""
    _send(task, within=within)


def _send(task: Task, *, within: timedelta, **payload: int) -> None:
    try:
        task.apply_async(kwargs=payload, expires=within.total_seconds(), retry=False)
    except OperationalError as error:
        log.warning("nobody_called", task=task.name, why=str(error))
