import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

import veza.core.ids
from veza.core.migration_operations import GuardMoves


def version(related_name):
    return models.ForeignKey(
        db_index=False,
        on_delete=django.db.models.deletion.PROTECT,
        related_name=related_name,
        to="subscriptions.plan",
    )


class Migration(migrations.Migration):
    """Prices that are announced to those who are subscribed."""

    dependencies = [("subscriptions", "0060_version_plans"), ("core", "0002_create_guards")]

    operations = [
        migrations.CreateModel(
            name="PriceChange",
            fields=[
                (
                    "id",
                    models.UUIDField(default=veza.core.ids.new_id, editable=False, primary_key=True, serialize=False),
                ),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("announced", "Announced"),
                            ("withdrawn", "Withdrawn"),
                            ("completed", "Completed"),
                        ],
                        default="announced",
                        max_length=10,
                    ),
                ),
                ("due_at", models.DateTimeField(blank=True, null=True)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("new_plan", version("+")),
                ("plan", version("price_changes")),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("due_at__isnull", False)), fields=["due_at"], name="price_change_due"
                    ),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("status__in", ["announced", "withdrawn", "completed"])),
                        name="price_change_status_known",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("status", "announced")),
                        fields=("plan",),
                        name="one_announced_price_change_per_plan",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("new_plan", models.F("plan")), _negated=True),
                        name="price_change_is_to_another_version",
                    ),
                ],
            },
        ),
        GuardMoves("subscriptions_pricechange", ["announced>completed", "announced>withdrawn"]),
    ]
