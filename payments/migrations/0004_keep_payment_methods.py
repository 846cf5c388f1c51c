from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("payments", "0003_add_refund_permission")]

    operations = [
        migrations.AddField(
            model_name="payment",
            name="future_usage",
            field=models.CharField(blank=True, db_default="", default="", max_length=12),
        ),
        migrations.AddField(
            model_name="payment",
            name="off_session",
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AddField(
            model_name="payment",
            name="payment_method_id",
            field=models.CharField(blank=True, db_default="", default="", max_length=64),
        ),
    ]
