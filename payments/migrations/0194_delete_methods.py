import django.db.models.functions.datetime
from django.db import migrations, models

import veza.core.ids


class Migration(migrations.Migration):
    """The saved methods that Hyperswitch is to delete."""

    dependencies = [
        ("payments", "0181_read_undecided_payments"),
    ]

    operations = [
        migrations.CreateModel(
            name="MethodDeletion",
            fields=[
                (
                    "id",
                    models.UUIDField(default=veza.core.ids.new_id, editable=False, primary_key=True, serialize=False),
                ),
                ("correlation_id", models.UUIDField()),
                ("payment_method_id", models.CharField(max_length=64)),
                ("requested_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("deleted_at", models.DateTimeField(blank=True, null=True)),
                ("next_attempt_at", models.DateTimeField(blank=True, null=True)),
                ("attempts", models.PositiveSmallIntegerField(default=0)),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("next_attempt_at__isnull", False)),
                        fields=["next_attempt_at"],
                        name="method_deletion_due",
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("next_attempt_at__isnull", False)),
                        fields=("payment_method_id",),
                        name="one_deletion_under_way_per_method",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("payment_method_id", ""), _negated=True), name="deletion_names_its_method"
                    ),
                ],
            },
        ),
    ]
