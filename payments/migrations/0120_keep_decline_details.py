from django.db import migrations, models


class Migration(migrations.Migration):
    """What is reported about a decline besides its code, and until when the card that paid is valid."""

    dependencies = [("payments", "0102_allow_one_applied_payment")]

    operations = [
        migrations.AddField(
            model_name="payment",
            name="decline_details",
            field=models.CharField(blank=True, db_default="", default="", max_length=200),
        ),
        migrations.AddField(
            model_name="payment", name="card_expires_on", field=models.DateField(blank=True, null=True)
        ),
    ]
