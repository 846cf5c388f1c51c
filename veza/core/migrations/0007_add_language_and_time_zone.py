from django.db import migrations, models

from veza.core.models import check_time_zone


class Migration(migrations.Migration):
    dependencies = [("core", "0006_rename_review_kinds")]

    operations = [
        migrations.AddField(
            "user",
            "language",
            models.CharField(
                choices=[("en", "English"), ("fr", "Français")], db_default="en", default="en", max_length=5
            ),
        ),
        migrations.AddField(
            "user",
            "time_zone",
            models.CharField(db_default="UTC", default="UTC", max_length=50, validators=[check_time_zone]),
        ),
    ]
