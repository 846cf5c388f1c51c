"""Every machine in the house, and its trigger as it is installed."""

from django.apps import apps
from django.db import connection

from veza.core.models import StatefulRow

MACHINES = sorted(
    (model for model in apps.get_models() if issubclass(model, StatefulRow)),
    key=lambda model: model._meta.label_lower,
)


def statuses_of(machine: type[StatefulRow]) -> list[str]:
    return [value for value, _ in machine._meta.get_field("status").choices]


def triggers(function: str) -> dict[str, list[tuple[str, list[str]]]]:
    """Each table with a trigger that runs `function`: its definitions and their arguments."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tgrelid::regclass::text, pg_get_triggerdef(oid), tgargs FROM pg_trigger "
            "WHERE tgfoid = %s::regproc AND tgenabled = 'O' AND NOT tgisinternal",
            [function],
        )
        by_table: dict[str, list[tuple[str, list[str]]]] = {}
        for table, definition, arguments in cursor.fetchall():
            edges = [one.decode() for one in bytes(arguments).split(b"\0") if one]
            by_table.setdefault(table.strip('"'), []).append((definition, edges))
        return by_table


def install_on_probe(definition: str, columns: str) -> None:
    """Make a temporary table `probe` that carries the trigger: a row of it costs no other rows."""
    before, _, after = definition.partition(" ON ")
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TEMPORARY TABLE probe ({columns}) ON COMMIT DROP")
        cursor.execute(f"{before} ON probe {after.partition(' ')[2]}")
