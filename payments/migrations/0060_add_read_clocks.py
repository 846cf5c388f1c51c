from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("payments", "0051_remember_revoked_mandates")]

    operations = [
        migrations.AddField("payment", "last_read_at", models.DateTimeField(blank=True, null=True)),
        migrations.AddField("payment", "contradicted_at", models.DateTimeField(blank=True, null=True)),
        migrations.AddField(
            "payment",
            "contradicted_by",
            models.CharField(blank=True, db_default="", default="", max_length=100),
        ),
        migrations.AddField("payment", "amount_missing_since", models.DateTimeField(blank=True, null=True)),
        migrations.AddField("refund", "last_read_at", models.DateTimeField(blank=True, null=True)),
    ]
