import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

import veza.core.ids


class Migration(migrations.Migration):
    dependencies = [
        ("connect", "0004_hear_of_accounts"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="SellerPayout",
            fields=[
                (
                    "id",
                    models.UUIDField(default=veza.core.ids.new_id, editable=False, primary_key=True, serialize=False),
                ),
                ("stripe_account_id", models.CharField(max_length=64)),
                ("amount_minor", models.BigIntegerField()),
                ("currency", models.CharField(max_length=3)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("pending", "Pending"),
                            ("in_transit", "In Transit"),
                            ("paid", "Paid"),
                            ("failed", "Failed"),
                            ("cancelled", "Cancelled"),
                        ],
                        default="pending",
                        max_length=12,
                    ),
                ),
                ("external_payout_id", models.CharField(blank=True, max_length=64, null=True)),
                ("first_sent_at", models.DateTimeField(blank=True, null=True)),
                ("in_doubt", models.BooleanField(default=False)),
                ("next_check_at", models.DateTimeField(blank=True, null=True)),
                ("failure_code", models.CharField(blank=True, max_length=100)),
                ("failure_message", models.CharField(blank=True, max_length=500)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                "db_table": "seller_payouts",
            },
        ),
        migrations.AddField(
            model_name="sellerpayout",
            name="seller",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="payouts", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddIndex(
            model_name="sellerpayout",
            index=models.Index(
                condition=models.Q(("next_check_at__isnull", False)), fields=["next_check_at"], name="payout_due"
            ),
        ),
        migrations.AddIndex(
            model_name="sellerpayout",
            index=models.Index(fields=["seller", "-created_at", "-id"], name="payout_seller_newest_first"),
        ),
        migrations.AddConstraint(
            model_name="sellerpayout",
            constraint=models.CheckConstraint(
                condition=models.Q(("status__in", ["pending", "in_transit", "paid", "failed", "cancelled"])),
                name="payout_status_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="sellerpayout",
            constraint=models.CheckConstraint(
                condition=models.Q(("amount_minor__gt", 0)), name="payout_amount_positive"
            ),
        ),
        migrations.AddConstraint(
            model_name="sellerpayout",
            constraint=models.CheckConstraint(
                condition=models.Q(("currency__regex", "^[A-Z]{3}$")), name="payout_currency_code"
            ),
        ),
        migrations.AddConstraint(
            model_name="sellerpayout",
            constraint=models.UniqueConstraint(
                condition=models.Q(
                    ("external_payout_id__isnull", False), models.Q(("external_payout_id", ""), _negated=True)
                ),
                fields=("external_payout_id",),
                name="one_payout_per_stripe_id",
            ),
        ),
    ]
