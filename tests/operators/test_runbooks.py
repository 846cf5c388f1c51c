"""Runbooks are code: every page answers the four questions, and its marked blocks run as they stand."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from django.db import connection

from dev.postgres import find_server_files
from dev.processes import Failure
from tests.buying import SECRET, order_of, paid, payment_of, refund_of
from tests.database_roles import as_owner
from tests.factories import OfferFactory
from tests.operators.production import ROOT, environment, owner_url
from tests.sandbox.process import HYPERSWITCH_KEY, STRIPE_KEY

FOLDER = ROOT / "docs" / "runbooks"
PAGES = sorted(path for path in FOLDER.glob("*.md") if path.name != "README.md")
BLOCK = re.compile(r"^( *)```sh test\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
QUESTIONS = ["What you see", "Why", "What to press or run", "How you know that it is over"]


def blocks_of(page: Path) -> str:
    return "\n".join(block for _, block in BLOCK.findall(page.read_text()))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_answers_the_four_questions_in_this_order(page):
    assert re.findall(r"^## (.+)$", page.read_text(), re.MULTILINE) == QUESTIONS


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_has_something_to_run(page):
    assert blocks_of(page)


def test_every_page_is_listed():
    pages = set(re.findall(r"\]\(([\w-]+\.md)\)", (FOLDER / "README.md").read_text()))

    assert pages == {page.name for page in PAGES}


def folders_with_programs() -> Iterator[Path]:
    """Where PostgreSQL's client programs may be: beside the server's files, or installed."""
    with suppress(Failure):
        yield find_server_files().programs
    if program := shutil.which("pg_dump"):
        yield Path(program).parent


def version_of(program: Path) -> str:
    if not program.exists():
        return ""
    return subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout


@pytest.fixture
def programs(transactional_db) -> str:
    """A search path on which `python` is ours and the client programs are as old as the server.

    A newer pg_dump writes what an older server does not understand.
    """
    connection.ensure_connection()
    version = connection.pg_version // 10_000
    for folder in folders_with_programs():
        if f" {version}." in version_of(folder / "pg_dump") and shutil.which("bash"):
            return os.pathsep.join([str(Path(sys.executable).parent), str(folder), os.environ["PATH"]])
    pytest.skip(f"no client programs of PostgreSQL {version}")


@pytest.fixture
def environ(programs, sandbox, tmp_path):
    """An order that was paid, with a refund on its way; the environment an operator's shell would have."""
    order = paid(order_of(OfferFactory()))
    sandbox.pay(payment_of(order).provider_key)
    refund_of(order)
    url = owner_url()
    restored = f"{connection.settings_dict['NAME']}_restored"
    yield {
        "PATH": programs,
        "USER": "ada",
        "DATABASE_URL": url,
        "ORDER_ID": str(order.pk),
        "BACKUP": str(tmp_path / "veza.dump"),
        "RESTORED_NAME": restored,
        "RESTORED_URL": f"{url.rpartition('/')[0]}/{restored}",
        "PGCONNECT_TIMEOUT": "5",
        "SECRET_KEY": "q7Zt0vXw3nYb5cRk8mLp2sHd6fJg9aTe1uVi4oBxQyWzNrKhMlPjSdFg",
        "HYPERSWITCH_ENABLED": "true",
        "HYPERSWITCH_API_KEY": HYPERSWITCH_KEY,
        "HYPERSWITCH_BASE_URL": sandbox.url,
        "HYPERSWITCH_PROFILE_ID": "pro_sandbox",
        "HYPERSWITCH_WEBHOOK_SECRET": SECRET,
        "STRIPE_SECRET_KEY": STRIPE_KEY,
        "STRIPE_BASE_URL": sandbox.url,
    }
    with as_owner(), connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE IF EXISTS {restored}")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_marked_blocks_run_as_they_stand(page, environ):
    process = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", blocks_of(page)],
        cwd=ROOT,
        env=environment(environ),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert process.returncode == 0, f"{process.stdout[-1500:]}\n{process.stderr[-1500:]}"
