from django.db import migrations

DUE = """
    UPDATE seller_transfers SET refresh_due_at = now()
    WHERE status = 'permanently_failed' AND refresh_due_at IS NULL AND id IN (
        SELECT transfer_id FROM seller_transfer_reversals WHERE status = 'sending'
    )
"""


class Migration(migrations.Migration):
    """Reversals that failed without an answer are read at Stripe from now on."""

    dependencies = [("connect", "0020_add_last_sent_at")]

    operations = [migrations.RunSQL(DUE, migrations.RunSQL.noop)]
