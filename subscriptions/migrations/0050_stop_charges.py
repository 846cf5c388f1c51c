from django.db import migrations, models


class Migration(migrations.Migration):
    """When staff cleared the disputes that stop charges, and until when the saved card is valid."""

    dependencies = [("subscriptions", "0021_drop_twin_indexes")]

    operations = [
        migrations.AddField(
            model_name="subscription",
            name="disputes_cleared_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="subscription", name="method_expires_on", field=models.DateField(blank=True, null=True)
        ),
    ]
