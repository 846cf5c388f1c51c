from django.db import migrations

from veza.core.migration_operations import GuardMoves


class Migration(migrations.Migration):
    dependencies = [("connect", "0001_create_tables"), ("core", "0002_create_guards")]

    operations = [
        GuardMoves(
            "seller_transfers",
            [
                "completed>reversal_pending",
                "failed>cancelled",
                "failed>completed",
                "failed>permanently_failed",
                "pending>cancelled",
                "pending>completed",
                "pending>failed",
                "pending>permanently_failed",
                "permanently_failed>cancelled",
                "permanently_failed>completed",
                "permanently_failed>failed",
                "permanently_failed>reversal_pending",
                "permanently_failed>reversed",
                "reversal_pending>completed",
                "reversal_pending>permanently_failed",
                "reversal_pending>reversed",
            ],
        ),
        GuardMoves(
            "seller_transfer_reversals",
            [
                "sending>made",
                "sending>refused",
            ],
        ),
    ]
