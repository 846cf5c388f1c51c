from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("connect", "0021_refresh_unanswered_reversals")]

    operations = [
        migrations.AddField(
            model_name="connectedaccount",
            name="disabled_reason",
            field=models.CharField(blank=True, db_default="", default="", max_length=100),
        ),
        migrations.AddField(
            model_name="connectedaccount",
            name="transfers_status",
            field=models.CharField(blank=True, db_default="", default="", max_length=40),
        ),
    ]
