from django.db import migrations, models


class Migration(migrations.Migration):
    """Which payment fulfilled its order or invoice, and which has an Idempotency-Key of its own."""

    dependencies = [("payments", "0090_let_refunds_be_pending_together")]

    operations = [
        migrations.AddField(model_name="payment", name="applied_at", field=models.DateTimeField(blank=True, null=True)),
        migrations.AddField(
            model_name="payment",
            name="has_own_key",
            field=models.BooleanField(db_default=False, default=False),
        ),
    ]
