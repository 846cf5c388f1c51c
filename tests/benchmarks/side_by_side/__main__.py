"""`make bench`: Veza's webhook beside dj-stripe's and beside PostgreSQL alone, interleaved, in one run.

    ROUNDS=3 CELL_SECONDS=5 HISTORY=100000 python3 -m dev bench

dj-stripe has an environment of its own (built once, under .veza/), the same server, the same database server and the
same 16 connections. The order of the cells is reversed every round. Ratios within a round are what counts: the machine
is shared. Before any figure is shown, the books are proved and the rows are counted.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import django

ROOT = Path(__file__).resolve().parents[3]
STATE = ROOT / ".veza"
ROUNDS = int(os.environ.get("ROUNDS", "3"))
CELL_SECONDS = float(os.environ.get("CELL_SECONDS", "5"))
HISTORY = int(os.environ.get("HISTORY", "100000"))
MOST_PER_SECOND = 900  # Payments that one cell can use up; more are never settled in a second on two cores.

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "veza.settings")
django.setup()

from django.conf import settings  # noqa: E402 - only after the set-up.
from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402

from tests.benchmarks.side_by_side import same_rows, stories  # noqa: E402
from tests.benchmarks.side_by_side.cells import CELLS, PGBENCH, Cell, requests_of  # noqa: E402
from tests.benchmarks.side_by_side.report import Figure, show  # noqa: E402
from tests.benchmarks.side_by_side.servers import Servers, start_servers  # noqa: E402
from tests.buying import SECRET, paid  # noqa: E402
from tests.sandbox.process import HYPERSWITCH_KEY, MERCHANT_ID, Sandbox  # noqa: E402


def main() -> int:
    _say(f"history of {HISTORY} orders, {ROUNDS} rounds of {len(CELLS)} cells of {CELL_SECONDS:g} s")
    call_command("migrate", verbosity=0)
    payments, hot = _load_history()
    with ExitStack() as stack:
        servers = start_servers(stack, STATE, database_url=os.environ["DATABASE_URL"])
        _warm_up(servers, iter(payments[:200]))
        figures = _measure(servers, iter(payments[200:]), iter(hot))
    wrong = _check(figures)
    show(figures, wrong, STATE / "bench.json")
    return 1 if wrong else 0


def _load_history() -> tuple[list[Any], list[Any]]:
    """Write the history. Returns the payments that wait, of a thousand sellers and of two."""
    settings.ALLOWED_HOSTS = ["*"]
    with Sandbox(refund_delay_seconds=3600) as sandbox:
        sandbox.settings(webhooks_paused=True)
        settings.HYPERSWITCH_ENABLED, settings.HYPERSWITCH_API_KEY = True, HYPERSWITCH_KEY
        settings.HYPERSWITCH_BASE_URL, settings.HYPERSWITCH_MERCHANT_ID = sandbox.url, MERCHANT_ID
        settings.HYPERSWITCH_PROFILE_ID, settings.HYPERSWITCH_WEBHOOK_SECRETS = "pro_sandbox", [SECRET]
        completed, waiting, model = paid(stories.tell_order()), stories.tell_order(), stories.tell_order()
        written = same_rows.make_function(model)
    sellers = stories.make_sellers(1_000)
    _say(f"a delivery writes {written} rows")
    stories.copy_story(stories.read_story(completed), HISTORY, sellers)
    story, number = stories.read_story(waiting), int(MOST_PER_SECOND * CELL_SECONDS * ROUNDS)
    payments = stories.copy_story(story, number + 400, sellers)
    hot = stories.copy_story(story, number // 2, sellers[:2])
    same_rows.fill_todo(stories.copy_story(story, number * 2, sellers))
    stories.analyze()
    _say(f"loaded: {HISTORY} completed orders, {len(payments) + len(hot) + number * 2} that wait")
    return payments, hot


def _warm_up(servers: Servers, payments: Iterator[Any]) -> None:
    for cell in CELLS:
        if cell.server != PGBENCH:
            servers.deliver(cell, requests_of(cell, payments, servers.peer_path, 40), seconds=2)


def _measure(servers: Servers, payments: Iterator[Any], hot: Iterator[Any]) -> dict[str, list[Figure]]:
    figures: dict[str, list[Figure]] = {cell.name: [] for cell in CELLS}
    for number in range(ROUNDS):
        for cell in CELLS if number % 2 == 0 else reversed(CELLS):
            figures[cell.name].append(_measure_one(servers, cell, hot if "two sellers" in cell.name else payments))
            _say(f"round {number + 1}: {figures[cell.name][-1].line(cell.name)}")
    return figures


def _measure_one(servers: Servers, cell: Cell, payments: Iterator[Any]) -> Figure:
    if cell.server == PGBENCH:
        return servers.same_rows(CELL_SECONDS)
    is_cheap = "duplicate" in cell.name or "invalid signature" in cell.name
    number = 60_000 if is_cheap else int(MOST_PER_SECOND * CELL_SECONDS)
    if "payment succeeded" in cell.name or "two sellers" in cell.name:
        number = number // 2
    return servers.deliver(cell, requests_of(cell, payments, servers.peer_path, number), seconds=CELL_SECONDS)


def _check(figures: dict[str, list[Figure]]) -> list[str]:
    """What is not as it must be: an answer, a count of rows, the books."""
    wrong = [
        f"{cell.name}: answered {figure.statuses}, expected {cell.status}"
        for cell in CELLS
        if cell.server != PGBENCH
        for figure in figures[cell.name]
        if set(figure.statuses) != {str(cell.status)}
    ]
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        for sentence, sql in COUNTS.items():
            cursor.execute(sql)
            found = cursor.fetchone()[0]
            wrong += [f"{sentence}: {found}"] if found else []
    proof = subprocess.run(
        [sys.executable, "manage.py", "verify_ledger"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    _say(f"verify_ledger: {proof.stdout.strip().splitlines()[-1] if proof.stdout.strip() else proof.stderr[-300:]}")
    return wrong + ([f"verify_ledger ended with {proof.returncode}"] if proof.returncode else [])


COUNTS = {
    "deliveries that were handled twice": "SELECT count(*) FROM (SELECT 1 FROM webhook_log "
    "WHERE processing_result = 'ok' GROUP BY event_id HAVING count(*) > 1) AS twice",
    "completed orders without a handled delivery": "SELECT count(*) FROM orders AS o WHERE o.status = 'completed' AND "
    "NOT EXISTS (SELECT 1 FROM webhook_log AS w WHERE w.correlation_id = o.id AND w.processing_result = 'ok')",
    "completed orders without two licences": "SELECT count(*) FROM orders AS o WHERE o.status = 'completed' AND "
    "(SELECT count(*) FROM licenses AS l WHERE l.order_id = o.id) <> 2",
    "completed orders without two transfers": "SELECT count(*) FROM orders AS o WHERE o.status = 'completed' AND "
    "(SELECT count(*) FROM seller_transfers AS t WHERE t.order_id = o.id) <> 2",
    "pending orders with postings": "SELECT count(*) FROM orders AS o WHERE o.status = 'pending' AND "
    "EXISTS (SELECT 1 FROM payments_posting AS p WHERE p.correlation_id = o.id)",
}


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
