import datetime

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.models import Q
from django.db.models.functions import Now

import veza.core.ids
from veza.core.migration_operations import AppendOnly


class Migration(migrations.Migration):
    dependencies = [("connect", "0041_drop_twin_indexes"), migrations.swappable_dependency(settings.AUTH_USER_MODEL)]

    operations = [
        migrations.CreateModel(
            name="PayoutTerms",
            fields=[
                (
                    "id",
                    models.UUIDField(default=veza.core.ids.new_id, editable=False, primary_key=True, serialize=False),
                ),
                ("payout_after", models.DurationField(blank=True, null=True)),
                ("reason", models.CharField(max_length=500)),
                ("set_by", models.CharField(max_length=200)),
                ("set_at", models.DateTimeField(db_default=Now())),
                (
                    "seller",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="payout_terms",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "payout terms",
                "db_table": "seller_payout_terms",
                "indexes": [models.Index(fields=["seller", "-set_at", "-id"], name="payout_terms_newest_first")],
                "constraints": [
                    models.CheckConstraint(
                        condition=Q(payout_after__isnull=True) | Q(payout_after__gte=datetime.timedelta(0)),
                        name="payout_after_not_negative",
                    ),
                    models.CheckConstraint(condition=~Q(reason=""), name="payout_terms_have_a_reason"),
                ],
            },
        ),
        AppendOnly("seller_payout_terms"),
        migrations.AddField("sellerpayout", "acknowledged_at", models.DateTimeField(blank=True, null=True)),
        # What Stripe had before: any balance that is read from now on shows it.
        migrations.RunSQL(
            "UPDATE seller_payouts SET acknowledged_at = created_at WHERE external_payout_id IS NOT NULL",
            migrations.RunSQL.noop,
        ),
    ]
