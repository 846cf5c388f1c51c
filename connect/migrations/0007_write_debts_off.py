from django.db import migrations, models
from django.db.models import F, Q


class Migration(migrations.Migration):
    dependencies = [("connect", "0006_guard_payouts")]

    operations = [
        migrations.AddField(
            model_name="sellertransfer",
            name="written_off_minor",
            field=models.BigIntegerField(db_default=0, default=0),
        ),
        migrations.AddConstraint(
            model_name="sellertransfer",
            constraint=models.CheckConstraint(
                condition=Q(("written_off_minor__gte", 0), ("written_off_minor__lte", F("covered_minor"))),
                name="transfer_written_off_within_covered",
            ),
        ),
    ]
