import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

import veza.core.ids
from veza.core.migration_operations import GuardMoves

STATUSES = ("opened", "challenged", "accepted", "expired", "cancelled", "won", "lost")


class Migration(migrations.Migration):
    dependencies = [("payments", "0005_let_late_money_arrive")]

    operations = [
        migrations.CreateModel(
            name="Dispute",
            fields=[
                (
                    "id",
                    models.UUIDField(default=veza.core.ids.new_id, editable=False, primary_key=True, serialize=False),
                ),
                (
                    "payment",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="disputes", to="payments.payment"
                    ),
                ),
                ("story_id", models.UUIDField()),
                ("hyperswitch_dispute_id", models.CharField(max_length=64, unique=True)),
                (
                    "status",
                    models.CharField(choices=[(word, word.capitalize()) for word in STATUSES], max_length=10),
                ),
                ("stage", models.CharField(max_length=30)),
                ("amount_minor", models.BigIntegerField()),
                ("currency", models.CharField(max_length=3)),
                ("legs", models.JSONField(default=dict)),
                (
                    "held_at",
                    models.CharField(
                        blank=True,
                        choices=[("", "Nowhere"), ("suspense", "Suspense"), ("bank", "Bank")],
                        default="",
                        max_length=10,
                    ),
                ),
                ("bookings", models.PositiveIntegerField(default=0)),
                ("reason", models.CharField(blank=True, max_length=300)),
                ("answer_by", models.DateTimeField(blank=True, null=True)),
                ("next_check_at", models.DateTimeField(blank=True, null=True)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("next_check_at__isnull", False)),
                        fields=["next_check_at"],
                        name="dispute_due",
                    ),
                    models.Index(fields=["story_id"], name="dispute_story"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "status__in",
                                ["opened", "challenged", "accepted", "expired", "cancelled", "won", "lost"],
                            )
                        ),
                        name="dispute_status_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("amount_minor__gte", 0)), name="dispute_amount_not_negative"
                    ),
                ],
            },
        ),
        GuardMoves("payments_dispute", [f"{start}>{end}" for start in STATUSES for end in STATUSES if start != end]),
    ]
