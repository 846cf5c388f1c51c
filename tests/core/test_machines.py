"""Every table of moves in the house, whole: in the code, in the trigger, and nobody who passes by both."""

from itertools import permutations

import pytest
from django.db import IntegrityError, connection, transaction

from tests.core.machines import MACHINES, install_on_probe, statuses_of, triggers
from veza.core.causes import Cause
from veza.core.models import StatusChange
from veza.core.states import IllegalMove, edges_of, may_move, move

pytestmark = pytest.mark.django_db
every_machine = pytest.mark.parametrize("machine", MACHINES, ids=[model._meta.label_lower for model in MACHINES])
APPEND_ONLY = {"core_statuschange", "payments_posting"}


def line_to_paste(machine) -> str:
    edges = "".join(f'        "{edge}",\n' for edge in edges_of(machine.moves))
    return f'    GuardMoves(\n        "{machine._meta.db_table}",\n        [\n{edges}        ],\n    ),'


@every_machine
def test_the_installed_trigger_says_what_the_table_of_moves_says(machine):
    edge_lists = triggers("core_guard_moves").get(machine._meta.db_table, [])

    assert [sorted(edges) for _, edges in edge_lists] == [edges_of(machine.moves)], (
        f"the trigger of {machine._meta.label} differs from its moves; a new migration says:\n"
        f"{line_to_paste(machine)}\n(and names the edges before it as `previous`, if there were any)"
    )


@every_machine
def test_a_move_is_possible_along_an_edge_and_nowhere_else(machine):
    statuses = statuses_of(machine)

    for start in statuses:
        for end in statuses:
            row = machine(status=start)
            assert may_move(row, end) == (f"{start}>{end}" in edges_of(machine.moves))
            if not may_move(row, end):
                with pytest.raises(IllegalMove):
                    move(row, end, cause=Cause("command"))
    assert not StatusChange.objects.exists()


@every_machine
def test_the_database_lets_a_row_move_along_an_edge_and_nowhere_else(machine):
    ((definition, _),) = triggers("core_guard_moves")[machine._meta.db_table]
    install_on_probe(definition, "id uuid, status text")

    moves = {f"{start}>{end}" for start, end in permutations(statuses_of(machine), 2) if passes(start, end)}

    assert sorted(moves) == edges_of(machine.moves)


def passes(start: str, end: str) -> bool:
    """Whether the trigger on `probe` lets a row go from `start` to `end`."""
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE probe")
        cursor.execute("INSERT INTO probe VALUES (gen_random_uuid(), %s)", [start])
        try:
            with transaction.atomic():
                cursor.execute("UPDATE probe SET status = %s", [end])
        except IntegrityError as error:
            assert "probe_guard_moves" in str(error.__cause__.diag.constraint_name)  # noqa: PT017
            return False
        return True


@every_machine
def test_a_row_may_be_written_without_moving(machine):
    ((definition, _),) = triggers("core_guard_moves")[machine._meta.db_table]
    install_on_probe(definition, "id uuid, status text")

    assert all(passes(status, status) for status in statuses_of(machine))


@every_machine
def test_the_database_knows_every_status_and_no_other(machine):
    with connection.cursor() as cursor:
        # The column of the constraint that is about `status` alone, and the words it accepts.
        cursor.execute(
            "SELECT regexp_matches(pg_get_constraintdef(c.oid), '''([a-z_]+)''', 'g') FROM pg_constraint c "
            "JOIN pg_attribute a ON a.attrelid = c.conrelid AND c.conkey = ARRAY[a.attnum] "
            "WHERE c.contype = 'c' AND c.convalidated AND a.attname = 'status' AND c.conrelid = %s::regclass",
            [machine._meta.db_table],
        )
        statuses = sorted(word for (words,) in cursor.fetchall() for word in words)

    assert statuses == sorted(statuses_of(machine))


@every_machine
def test_every_word_in_the_table_of_moves_is_a_status(machine):
    words = {*machine.moves, *(end for ends in machine.moves.values() for end in ends)}

    assert words <= set(statuses_of(machine))


def test_what_must_never_change_is_append_only():
    assert triggers("core_refuse_change").keys() >= APPEND_ONLY


@pytest.mark.parametrize("table", sorted(APPEND_ONLY))
@pytest.mark.parametrize("change", ["UPDATE probe SET id = 2", "DELETE FROM probe"])
def test_an_append_only_row_can_neither_be_changed_nor_deleted(table, change):
    ((definition, _),) = triggers("core_refuse_change")[table]
    install_on_probe(definition, "id int")

    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO probe VALUES (1)")
        with pytest.raises(IntegrityError, match="append-only"):
            cursor.execute(change)


@every_machine
def test_every_edge_says_in_a_few_words_why_it_exists(machine):
    reasons = [why for ends in machine.moves.values() for why in ends.values()]

    assert all(10 <= len(why) <= 90 and not why.endswith(".") for why in reasons)
