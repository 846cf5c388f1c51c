from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("payments", "0062_add_foreign_receipts")]

    operations = [
        migrations.AddField("refund", "contradicted_at", models.DateTimeField(blank=True, null=True)),
        migrations.AddField(
            "refund",
            "contradicted_by",
            models.CharField(blank=True, db_default="", default="", max_length=100),
        ),
    ]
