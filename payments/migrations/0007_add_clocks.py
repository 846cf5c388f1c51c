from django.db import migrations, models


class Migration(migrations.Migration):
    """When a payment is closed by our clock, what waits for it, in which currency it came; what the reconciler reads."""

    dependencies = [("payments", "0006_add_disputes")]

    operations = [
        migrations.AddField("payment", "awaited", models.BooleanField(db_default=False, default=False)),
        migrations.AddField("payment", "close_after", models.DateTimeField(blank=True, null=True)),
        migrations.AddField("payment", "closing_at", models.DateTimeField(blank=True, null=True)),
        migrations.AddField(
            "payment", "received_currency", models.CharField(blank=True, db_default="", default="", max_length=3)
        ),
        migrations.AddIndex(
            "payment",
            models.Index(
                condition=models.Q(("status__in", ["pending", "processing"])),
                fields=["created_at"],
                name="payment_unsettled",
            ),
        ),
        migrations.AddIndex(
            "payment",
            models.Index(
                condition=models.Q(("close_after__isnull", False)), fields=["close_after"], name="payment_to_close"
            ),
        ),
        migrations.AddIndex(
            "refund",
            models.Index(condition=models.Q(("status", "pending")), fields=["created_at"], name="refund_unsettled"),
        ),
    ]
