"""A backlog is shared: a worker that meets one asks others to join, and continues when its minute is over.

Rows stay the queue. The messages sent here say no more than beat's do: run a tick now. So a message that is lost, or
a broker that is down, costs no more than the time until beat's next one.
"""

from collections.abc import Callable
from datetime import timedelta

import structlog
from celery import Task
from django.conf import settings
from kombu.exceptions import OperationalError

log = structlog.get_logger(__name__)
# A message that finds no free worker for so long is no longer needed, or will be sent again.
JOIN_WITHIN = timedelta(seconds=30)


def helpers_for(task: Task, helpers: int | None) -> Callable[[], None]:
    """What a tick of `task` calls when it meets a backlog: one more worker joins, which may call the next one.

    `helpers` is the argument of the tick's own message; None when beat sent it. At most SWEEP_HELPERS join.
    """
    remaining = settings.SWEEP_HELPERS if helpers is None else helpers

    def call() -> None:
        if remaining > 0:
            _send(task, within=JOIN_WITHIN, helpers=remaining - 1)

    return call


def go_on(task: Task, *, within: timedelta) -> None:
    """Run `task` once more, behind the messages that wait already: its time was over before its work was done."""
    _send(task, within=within)


def _send(task: Task, *, within: timedelta, **arguments: int) -> None:
    try:
        task.apply_async(kwargs=arguments, expires=within.total_seconds(), retry=False)
    except OperationalError as error:
        log.warning("help_not_requested", task=task.name, why=str(error))
