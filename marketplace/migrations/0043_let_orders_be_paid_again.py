from django.db import migrations, models

from veza.core.migration_operations import GuardMoves

BEFORE = [
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
]


class Migration(migrations.Migration):
    dependencies = [("marketplace", "0042_require_agreed_terms")]

    operations = [
        migrations.AddField(model_name="order", name="reopened_at", field=models.DateTimeField(blank=True, null=True)),
        migrations.AddField(
            model_name="order", name="cancel_requested_at", field=models.DateTimeField(blank=True, null=True)
        ),
        GuardMoves("orders", sorted([*BEFORE, "expired>pending", "failed>pending"]), previous=BEFORE),
    ]
