"""No dead ends: whatever waits has a worker with a deadline, or a review item with an action that ends it."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import models
from django.utils import timezone

from tests.dead_ends.rows import ROWS, VARIANTS
from tests.dead_ends.table import AT_REST, WAITING, is_covered, states, status_of
from tests.dead_ends.ways import Follows, Review, Worker
from veza.celery import app
from veza.schedule import SWEEPS

pytestmark = pytest.mark.django_db
WAYS = [(state, way) for state, ways in WAITING.items() for way in ways]
LONG_AGO = timedelta(days=40)
app.loader.import_default_modules()


def name_of(state: Any) -> str:
    return f"{state[0].__name__}-{state[1]}"


def values_of(row: models.Model) -> dict[str, Any]:
    return type(row)._default_manager.filter(pk=row.pk).values().get()


def make_due(row: models.Model) -> None:
    """Let the row be old, and due by each of its columns that says when."""
    columns = [field.attname for field in row._meta.concrete_fields if isinstance(field, models.DateTimeField)]
    times = {name: timezone.now() - LONG_AGO for name in columns if name.endswith(("_due_at", "_sent_at", "due_at"))}
    due = [name for name in ("next_attempt_at", "next_retry_at") if name in columns and getattr(row, name)]
    times |= {name: timezone.now() - timedelta(minutes=1) for name in due}
    times |= {"created_at": timezone.now() - LONG_AGO} if "created_at" in columns else {}
    existing = {name: at for name, at in times.items() if getattr(row, name) is not None}
    type(row)._default_manager.filter(pk=row.pk).update(**existing)


@pytest.mark.parametrize("state", list(states()), ids=name_of)
def test_every_state_has_a_way_on_or_a_reason_to_rest(state):
    assert (state in WAITING) != (state in AT_REST), "name in the table what moves it on, or why it may stay"


def test_the_table_names_no_other_states():
    assert {*WAITING, *AT_REST} == set(states())


@pytest.mark.parametrize("state", WAITING, ids=name_of)
def test_a_row_that_waits_has_a_way_on(sandbox, state):
    row = ROWS[state](sandbox)

    assert status_of(row) == state[1]
    assert is_covered(row)


@pytest.mark.parametrize(("state", "make"), VARIANTS)
def test_a_row_that_waits_for_another_reason_has_a_way_on(sandbox, state, make):
    row = make(sandbox)
    reviews = [way for way in WAITING[state] if isinstance(way, Review)]

    assert status_of(row) == state[1]
    assert any(way.covers(row) and any(way.offers(action, row) for action in way.actions) for way in reviews)


@pytest.mark.parametrize(("state", "way"), [pair for pair in WAYS if isinstance(pair[1], Worker)])
def test_the_worker_that_is_named_finds_the_row_when_it_is_due(sandbox, state, way):
    row = ROWS[state](sandbox)
    if not way.covers(row):
        pytest.skip("this row is covered by another of the ways")
    make_due(row)
    before = values_of(row)
    sandbox.fault("status", "", status=500, times=0)

    app.tasks[way.task].run()

    assert way.task in SWEEPS
    assert values_of(row) != before


@pytest.mark.parametrize(("state", "way"), [pair for pair in WAYS if isinstance(pair[1], Review)])
def test_an_action_that_is_named_is_offered_on_some_row(sandbox, state, way):
    rows = [ROWS[state](sandbox), *(make(sandbox) for other, make in VARIANTS if other == state)]

    for action in way.actions:
        assert any(way.offers(action, row) for row in rows), action.label


@pytest.mark.parametrize(("state", "way"), [pair for pair in WAYS if isinstance(pair[1], Follows)])
def test_what_a_row_waits_for_waits_itself(sandbox, state, way):
    row = ROWS[state](sandbox)

    assert any((type(other), status_of(other)) in WAITING for other in way.others(row))
