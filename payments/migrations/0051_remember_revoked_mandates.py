import django.db.models.functions.datetime
from django.db import migrations, models

import veza.core.ids


class Migration(migrations.Migration):
    dependencies = [("payments", "0050_store_provider_status")]

    operations = [
        migrations.CreateModel(
            name="RevokedMandate",
            fields=[
                (
                    "id",
                    models.UUIDField(default=veza.core.ids.new_id, editable=False, primary_key=True, serialize=False),
                ),
                ("mandate_id", models.CharField(max_length=64, unique=True)),
                ("payment_method_id", models.CharField(db_index=True, max_length=64)),
                ("revoked_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={"abstract": False},
        ),
    ]
