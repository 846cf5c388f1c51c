from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("payments", "0033_constrain_converted_amounts")]

    operations = [
        migrations.AddField(
            model_name="payment",
            name="provider_status",
            field=models.CharField(blank=True, db_default="", default="", max_length=60),
        ),
        migrations.AddField(
            model_name="payment",
            name="provider_status_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
    ]
