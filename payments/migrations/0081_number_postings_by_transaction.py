from django.db import migrations

# Two steps, so that the table is not rewritten: the postings that are there belong to transactions that are over.
ADD = """
ALTER TABLE payments_posting ADD COLUMN xact_id bigint NOT NULL DEFAULT 0;
ALTER TABLE payments_posting ALTER COLUMN xact_id SET DEFAULT pg_current_xact_id()::text::bigint;
"""


class Migration(migrations.Migration):
    dependencies = [("payments", "0080_drop_twin_indexes")]

    operations = [migrations.RunSQL(ADD, "ALTER TABLE payments_posting DROP COLUMN xact_id")]
