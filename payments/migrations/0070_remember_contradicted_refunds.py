from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("payments", "0061_let_voids_be_refunds")]

    operations = [
        migrations.AddField("refund", "contradicted_at", models.DateTimeField(blank=True, null=True)),
        migrations.AddField(
            "refund",
            "contradicted_by",
            models.CharField(blank=True, db_default="", default="", max_length=100),
        ),
    ]
