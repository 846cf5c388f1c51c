from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    # Calls are recorded while this runs.
    atomic = False
    dependencies = [("core", "0002_create_guards")]

    operations = [
        AddIndexConcurrently(
            "providercall",
            models.Index(fields=["provider", "-id"], name="provider_call_latest"),
        ),
    ]
