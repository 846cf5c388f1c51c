import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

import veza.core.ids


class Migration(migrations.Migration):
    dependencies = [
        ("core", "0008_create_emails"),
    ]

    operations = [
        migrations.CreateModel(
            name="EmailOptOut",
            fields=[
                (
                    "id",
                    models.UUIDField(default=veza.core.ids.new_id, editable=False, primary_key=True, serialize=False),
                ),
                ("message", models.CharField(max_length=60)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "user",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("user", "message"), name="one_opt_out_per_user_and_message")
                ],
            },
        ),
    ]
