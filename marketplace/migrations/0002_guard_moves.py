from django.db import migrations

from veza.core.migration_operations import GuardMoves


class Migration(migrations.Migration):
    dependencies = [("marketplace", "0001_create_tables"), ("core", "0002_create_guards")]

    operations = [
        GuardMoves(
            "orders",
            [
                "cancelled>completed",
                "completed>refund_pending",
                "completed>refunded",
                "expired>completed",
                "failed>completed",
                "pending>cancelled",
                "pending>completed",
                "pending>expired",
                "pending>failed",
                "refund_pending>completed",
                "refund_pending>refunded",
                "refunded>completed",
            ],
        ),
        GuardMoves(
            "licenses",
            [
                "active>revoked",
                "active>suspended",
                "revoked>active",
                "revoked>suspended",
                "suspended>active",
                "suspended>revoked",
            ],
        ),
    ]
