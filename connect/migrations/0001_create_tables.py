import django.db.models.deletion
import django.db.models.expressions
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

import veza.core.ids


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("marketplace", "0002_guard_moves"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="SellerTransfer",
            fields=[
                (
                    "id",
                    models.UUIDField(default=veza.core.ids.new_id, editable=False, primary_key=True, serialize=False),
                ),
                ("seq", models.PositiveSmallIntegerField(default=1)),
                ("amount_minor", models.BigIntegerField()),
                ("set_off_minor", models.BigIntegerField(default=0)),
                ("currency", models.CharField(max_length=3)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("pending", "Pending"),
                            ("completed", "Completed"),
                            ("failed", "Failed"),
                            ("cancelled", "Cancelled"),
                            ("reversal_pending", "Reversal Pending"),
                            ("reversed", "Reversed"),
                            ("permanently_failed", "Permanently Failed"),
                        ],
                        default="pending",
                        max_length=20,
                    ),
                ),
                ("destination", models.CharField(blank=True, max_length=64)),
                ("stripe_transfer_id", models.CharField(blank=True, max_length=64, null=True)),
                ("stripe_reversal_id", models.CharField(blank=True, max_length=64, null=True)),
                ("reversal_target_minor", models.BigIntegerField(default=0)),
                ("reversed_minor", models.BigIntegerField(default=0)),
                ("key_epoch", models.PositiveIntegerField(default=0)),
                ("in_doubt_since", models.DateTimeField(blank=True, null=True)),
                ("sendings", models.PositiveIntegerField(default=0)),
                (
                    "waiting_for",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("", "nothing"),
                            ("account", "Account"),
                            ("platform_balance", "Platform Balance"),
                            ("dispute", "Dispute"),
                            ("debt", "Debt"),
                        ],
                        default="",
                        max_length=20,
                    ),
                ),
                ("retry_count", models.PositiveSmallIntegerField(default=0)),
                ("next_retry_at", models.DateTimeField(blank=True, null=True)),
                ("last_error", models.CharField(blank=True, max_length=500)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("completed_at", models.DateTimeField(blank=True, null=True)),
                (
                    "order",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="transfers", to="marketplace.order"
                    ),
                ),
                (
                    "seller",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="transfers",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "db_table": "seller_transfers",
            },
        ),
        migrations.CreateModel(
            name="TransferReversal",
            fields=[
                (
                    "id",
                    models.UUIDField(default=veza.core.ids.new_id, editable=False, primary_key=True, serialize=False),
                ),
                ("story_id", models.UUIDField()),
                ("from_minor", models.BigIntegerField()),
                ("to_minor", models.BigIntegerField()),
                ("currency", models.CharField(max_length=3)),
                ("key", models.CharField(max_length=120, unique=True)),
                (
                    "status",
                    models.CharField(
                        choices=[("sending", "Sending"), ("made", "Made"), ("refused", "Refused")],
                        default="sending",
                        max_length=10,
                    ),
                ),
                ("stripe_reversal_id", models.CharField(blank=True, max_length=64, null=True, unique=True)),
                ("error_code", models.CharField(blank=True, max_length=100)),
                ("error_message", models.CharField(blank=True, max_length=500)),
                ("first_sent_at", models.DateTimeField(blank=True, null=True)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "transfer",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="reversals",
                        to="connect.sellertransfer",
                    ),
                ),
            ],
            options={
                "db_table": "seller_transfer_reversals",
            },
        ),
        migrations.CreateModel(
            name="ConnectedAccount",
            fields=[
                (
                    "id",
                    models.UUIDField(default=veza.core.ids.new_id, editable=False, primary_key=True, serialize=False),
                ),
                ("stripe_account_id", models.CharField(blank=True, max_length=64, null=True, unique=True)),
                ("transfers_active", models.BooleanField(default=False)),
                ("payouts_enabled", models.BooleanField(default=False)),
                ("details_submitted", models.BooleanField(default=False)),
                ("country", models.CharField(blank=True, max_length=2)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("updated_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "seller",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="connected_account",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("stripe_account_id__isnull", True),
                            models.Q(("stripe_account_id", ""), _negated=True),
                            _connector="OR",
                        ),
                        name="connected_account_id_not_empty",
                    )
                ],
            },
        ),
        migrations.AddIndex(
            model_name="sellertransfer",
            index=models.Index(
                condition=models.Q(("next_retry_at__isnull", False), ("status__in", ["pending", "failed"])),
                fields=["next_retry_at"],
                name="transfer_due",
            ),
        ),
        migrations.AddIndex(
            model_name="sellertransfer",
            index=models.Index(
                condition=models.Q(("status", "reversal_pending")),
                fields=["next_retry_at"],
                name="transfer_reversal_due",
            ),
        ),
        migrations.AddIndex(
            model_name="sellertransfer",
            index=models.Index(fields=["seller", "-created_at", "-id"], name="transfer_seller_newest_first"),
        ),
        migrations.AddConstraint(
            model_name="sellertransfer",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "status__in",
                        [
                            "pending",
                            "completed",
                            "failed",
                            "cancelled",
                            "reversal_pending",
                            "reversed",
                            "permanently_failed",
                        ],
                    )
                ),
                name="transfer_status_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="sellertransfer",
            constraint=models.CheckConstraint(
                condition=models.Q(("amount_minor__gt", 0)), name="transfer_amount_positive"
            ),
        ),
        migrations.AddConstraint(
            model_name="sellertransfer",
            constraint=models.CheckConstraint(
                condition=models.Q(("currency__regex", "^[A-Z]{3}$")), name="transfer_currency_code"
            ),
        ),
        migrations.AddConstraint(
            model_name="sellertransfer",
            constraint=models.CheckConstraint(
                condition=models.Q(("waiting_for__in", ["", "account", "platform_balance", "dispute", "debt"])),
                name="transfer_waiting_for_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="sellertransfer",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "reversal_target_minor__lte",
                        django.db.models.expressions.CombinedExpression(
                            models.F("amount_minor"), "-", models.F("set_off_minor")
                        ),
                    ),
                    ("reversed_minor__gte", 0),
                    ("reversed_minor__lte", models.F("reversal_target_minor")),
                    ("set_off_minor__gte", 0),
                ),
                name="transfer_reversed_within_target_within_sent",
            ),
        ),
        migrations.AddConstraint(
            model_name="sellertransfer",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("status", "reversal_pending"), _negated=True),
                    ("next_retry_at__isnull", False),
                    _connector="OR",
                ),
                name="transfer_to_reverse_is_due_some_time",
            ),
        ),
        migrations.AddConstraint(
            model_name="sellertransfer",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("status", "cancelled"), _negated=True), ("in_doubt_since__isnull", True), _connector="OR"
                ),
                name="transfer_in_doubt_is_not_cancelled",
            ),
        ),
        migrations.AddConstraint(
            model_name="sellertransfer",
            constraint=models.UniqueConstraint(
                fields=("order", "seller", "seq"), name="one_transfer_per_order_seller_seq"
            ),
        ),
        migrations.AddConstraint(
            model_name="sellertransfer",
            constraint=models.UniqueConstraint(
                condition=models.Q(
                    ("stripe_transfer_id__isnull", False), models.Q(("stripe_transfer_id", ""), _negated=True)
                ),
                fields=("stripe_transfer_id",),
                name="one_transfer_per_stripe_id",
            ),
        ),
        migrations.AddConstraint(
            model_name="sellertransfer",
            constraint=models.UniqueConstraint(
                condition=models.Q(
                    ("stripe_reversal_id__isnull", False), models.Q(("stripe_reversal_id", ""), _negated=True)
                ),
                fields=("stripe_reversal_id",),
                name="one_transfer_per_stripe_reversal_id",
            ),
        ),
        migrations.AddIndex(
            model_name="transferreversal",
            index=models.Index(fields=["story_id"], name="reversal_story"),
        ),
        migrations.AddConstraint(
            model_name="transferreversal",
            constraint=models.CheckConstraint(
                condition=models.Q(("status__in", ["sending", "made", "refused"])), name="reversal_status_known"
            ),
        ),
        migrations.AddConstraint(
            model_name="transferreversal",
            constraint=models.CheckConstraint(
                condition=models.Q(("from_minor__gte", 0), ("to_minor__gt", models.F("from_minor"))),
                name="reversal_takes_something",
            ),
        ),
        migrations.AddConstraint(
            model_name="transferreversal",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("status", "made"), _negated=True), ("stripe_reversal_id__isnull", False), _connector="OR"
                ),
                name="reversal_made_has_id",
            ),
        ),
        migrations.AddConstraint(
            model_name="transferreversal",
            constraint=models.UniqueConstraint(
                condition=models.Q(("status", "sending")),
                fields=("transfer",),
                name="one_reversal_under_way_per_transfer",
            ),
        ),
    ]
