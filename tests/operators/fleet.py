"""Celery workers of one process each, as production runs them: for faults, and for benchmarks that drain a backlog."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.operators.production import SANDBOX, a_redis, database_url, run, start
from tests.sandbox.process import HYPERSWITCH_KEY, MERCHANT_ID, STRIPE_KEY

CELERY = ("-m", "celery", "--quiet", "--app", "veza.celery")


@contextmanager
def workers(sandbox, folder: Path, number: int, **environ: str) -> Iterator[Callable[[str], object]]:
    """`number` of them and beat; yields what sends one task by its name, as beat would in an hour."""
    with a_redis(folder) as redis_url, ExitStack() as running:
        everything = {
            "DATABASE_URL": database_url(),
            "REDIS_URL": redis_url,
            "SECRET_KEY": SANDBOX["SECRET_KEY"],
            "STRIPE_SECRET_KEY": STRIPE_KEY,
            "STRIPE_BASE_URL": sandbox.url,
            "HYPERSWITCH_ENABLED": "true",
            "HYPERSWITCH_API_KEY": HYPERSWITCH_KEY,
            "HYPERSWITCH_BASE_URL": sandbox.url,
            "HYPERSWITCH_MERCHANT_ID": MERCHANT_ID,
            "HYPERSWITCH_PROFILE_ID": "pro_sandbox",
            "LOG_LEVEL": "ERROR",
            **environ,
        }

        def launch(name: str, *line: str) -> None:
            running.enter_context(start(*CELERY, *line, environ=everything, log=folder / f"{name}.log"))

        for one in range(number):
            launch(f"worker{one}", "worker", "--concurrency", "1", "--hostname", f"worker{one}@bench")
        launch("beat", "beat", "--schedule", str(folder / "schedule"))
        yield lambda task: run(*CELERY, "call", task, environ=everything)
