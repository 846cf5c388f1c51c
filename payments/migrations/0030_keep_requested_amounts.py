from django.db import migrations, models


class Migration(migrations.Migration):
    """What was requested, of a refund of which Hyperswitch reports another amount."""

    dependencies = [("payments", "0015_follow_close_due_at")]

    operations = [
        migrations.AddField(
            model_name="refund",
            name="requested_minor",
            field=models.BigIntegerField(blank=True, null=True),
        ),
    ]
