from django.db import migrations

from veza.core.migration_operations import AppendOnly

# One function for every table of moves, for ever: the legal edges are the trigger's own arguments.
GUARD_MOVES = """
CREATE OR REPLACE FUNCTION core_guard_moves() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT (OLD.status || '>' || NEW.status = ANY (TG_ARGV)) THEN
        RAISE EXCEPTION '% % may not move from % to %', TG_TABLE_NAME, OLD.id, OLD.status, NEW.status
            USING ERRCODE = 'check_violation', CONSTRAINT = TG_TABLE_NAME || '_guard_moves';
    END IF;
    RETURN NEW;
END $$;
"""

REFUSE_CHANGE = """
CREATE OR REPLACE FUNCTION core_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: write a new row instead of a % of an old one', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'restrict_violation', CONSTRAINT = TG_TABLE_NAME || '_append_only';
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("core", "0001_create_tables")]

    operations = [
        migrations.RunSQL(GUARD_MOVES, "DROP FUNCTION core_guard_moves()"),
        migrations.RunSQL(REFUSE_CHANGE, "DROP FUNCTION core_refuse_change()"),
        AppendOnly("core_statuschange"),
    ]
