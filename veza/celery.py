"""The Celery app of workers and beat."""

import os
from pathlib import Path

import structlog
from celery import Celery
from celery.signals import after_task_publish, beat_init, celeryd_init, heartbeat_sent, task_prerun

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "veza.settings")
# Workers and beat serve no pages: they load neither the admin's nor the API's modules, which Django's own checks would.
os.environ.setdefault("VEZA_SERVES_PAGES", "false")
os.environ.setdefault("CELERY_SKIP_CHECKS", "true")

from veza.checks import stop_if_broken  # Settings are named by the line above.
from veza.schedule import BEAT_SCHEDULE

app = Celery("veza")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.conf.beat_schedule = BEAT_SCHEDULE


@celeryd_init.connect
@beat_init.connect
def refuse_to_start(**_signal: object) -> None:
    """End a worker or beat whose settings are wrong: Celery itself only runs Django's checks, and goes on."""
    stop_if_broken()


@heartbeat_sent.connect  # By a worker, every two seconds.
@after_task_publish.connect  # By beat, each time a sweep is due.
def touch_alive_file(**_signal: object) -> None:
    """Touch the file that the container's health check reads (`alive.py`)."""
    if path := os.environ.get("VEZA_ALIVE_FILE"):
        Path(path).touch()


@task_prerun.connect
def bind_tick_id(task_id: str = "", **_signal: object) -> None:
    """Let every log line of a task carry its id. The context of the task before it is cleared."""
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(tick=task_id)
