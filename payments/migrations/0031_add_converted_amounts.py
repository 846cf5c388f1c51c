from django.db import migrations, models


class Migration(migrations.Migration):
    """Amounts of facts in another currency, as finance enters them, and in which currency a dispute is posted."""

    dependencies = [("payments", "0030_keep_requested_amounts")]

    operations = [
        migrations.AddField(
            model_name="refund",
            name="converted_minor",
            field=models.BigIntegerField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="dispute",
            name="converted_minor",
            field=models.BigIntegerField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="dispute",
            name="allocation_currency",
            field=models.CharField(blank=True, db_default="", default="", max_length=3),
        ),
    ]
