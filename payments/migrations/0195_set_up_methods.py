import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

import veza.core.ids


class Migration(migrations.Migration):
    """The pages on which a method is saved without a payment."""

    dependencies = [
        ("payments", "0194_delete_methods"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="MethodSetup",
            fields=[
                (
                    "id",
                    models.UUIDField(default=veza.core.ids.new_id, editable=False, primary_key=True, serialize=False),
                ),
                ("correlation_id", models.UUIDField()),
                ("currency", models.CharField(max_length=3)),
                ("payment_method_id", models.CharField(blank=True, max_length=64)),
                ("requested_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("finished_at", models.DateTimeField(blank=True, null=True)),
                ("next_attempt_at", models.DateTimeField(blank=True, null=True)),
                ("attempts", models.PositiveSmallIntegerField(default=0)),
                (
                    "payer",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("next_attempt_at__isnull", False)),
                        fields=["next_attempt_at"],
                        name="method_setup_due",
                    ),
                    models.Index(fields=["correlation_id"], name="method_setup_story"),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("finished_at__isnull", True)),
                        fields=("correlation_id",),
                        name="one_open_setup_per_purchase",
                    )
                ],
            },
        ),
    ]
