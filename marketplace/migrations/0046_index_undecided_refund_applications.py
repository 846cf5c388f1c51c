from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models

from veza.core.migration_operations import without_time_limit


class Migration(migrations.Migration):
    # Refunds are requested and decided while this runs.
    atomic = False
    dependencies = [("marketplace", "0044_fill_applied_at_of_withheld_orders")]

    operations = [
        without_time_limit(),
        AddIndexConcurrently(
            "refundapplication",
            models.Index(
                condition=models.Q(("status", "requested")), fields=["due_at"], name="refund_application_undecided"
            ),
        ),
    ]
