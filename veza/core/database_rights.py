"""What the application's role may do in PostgreSQL: read and write rows, and nothing that the proof rests on.

A role that owns a table, or is a superuser, can switch off the triggers that keep the ledger append-only. Migrations
run as another role, the owner (DATABASE_OWNER_URL), and give the application what it needs.
"""

from collections.abc import Sequence

from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import sql

# Each names what is wrong with the rights of the role that is connected.
_MEASURES: Sequence[tuple[str, str]] = (
    (
        "It is a superuser, or may make roles and databases.",
        "SELECT rolsuper OR rolcreaterole OR rolcreatedb FROM pg_roles WHERE rolname = current_user",
    ),
    (
        "It owns tables, or may become the role that does.",
        "SELECT EXISTS (SELECT FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') "
        "AND pg_has_role(current_user, relowner, 'MEMBER'))",
    ),
    (
        "It may TRUNCATE tables.",
        "SELECT EXISTS (SELECT FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') "
        "AND has_table_privilege(current_user, oid, 'TRUNCATE'))",
    ),
    (
        "It may switch triggers off (session_replication_role).",
        "SELECT has_parameter_privilege('session_replication_role', 'SET')",
    ),
    (
        "It may make tables in the schema public.",
        "SELECT has_schema_privilege(current_user, 'public', 'CREATE')",
    ),
)
_TIMEOUTS = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")


def grant_to(connection: BaseDatabaseWrapper, role: str) -> None:
    """Let `role` read and write every row of ours. Called by the owner after its migrations, again and again."""
    statements = (
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
        "GRANT USAGE ON SCHEMA public TO {role}",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}",
        "GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {role}",
    )
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(sql.SQL(statement).format(role=sql.Identifier(role)))


def excessive_rights(connection: BaseDatabaseWrapper) -> list[str]:
    """What the connected role may do and the application's must not, in sentences."""
    with connection.cursor() as cursor:
        return [sentence for sentence, measure in _MEASURES if cursor.execute(measure).fetchone()[0]]


def missing_timeouts(connection: BaseDatabaseWrapper) -> list[str]:
    """The timeouts that are not in force, whatever the settings say: a pooler may have dropped them."""
    with connection.cursor() as cursor:
        return [name for name in _TIMEOUTS if cursor.execute(f"SHOW {name}").fetchone()[0] == "0"]
