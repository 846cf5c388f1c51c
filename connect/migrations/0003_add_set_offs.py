import django.db.models.deletion
import django.db.models.expressions
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

import veza.core.ids


class Migration(migrations.Migration):
    dependencies = [
        ("connect", "0002_guard_moves"),
        ("marketplace", "0004_add_cart"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="SetOff",
            fields=[
                (
                    "id",
                    models.UUIDField(default=veza.core.ids.new_id, editable=False, primary_key=True, serialize=False),
                ),
                ("amount_minor", models.BigIntegerField()),
                ("undone_minor", models.BigIntegerField(default=0)),
                ("currency", models.CharField(max_length=3)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                "db_table": "seller_set_offs",
            },
        ),
        migrations.AddField(
            model_name="sellertransfer",
            name="adopted_minor",
            field=models.BigIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="sellertransfer",
            name="covered_minor",
            field=models.BigIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="sellertransfer",
            name="look_due_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="sellertransfer",
            name="undone_minor",
            field=models.BigIntegerField(default=0),
        ),
        migrations.AddIndex(
            model_name="sellertransfer",
            index=models.Index(
                condition=models.Q(("status__in", ["reversal_pending", "permanently_failed"])),
                fields=["seller"],
                name="transfer_owed",
            ),
        ),
        migrations.AddIndex(
            model_name="sellertransfer",
            index=models.Index(
                condition=models.Q(("look_due_at__isnull", False)), fields=["look_due_at"], name="transfer_look_due"
            ),
        ),
        migrations.AddConstraint(
            model_name="sellertransfer",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("adopted_minor__gte", 0),
                    ("adopted_minor__lte", models.F("reversal_target_minor")),
                    ("covered_minor__gte", 0),
                    (
                        "covered_minor__lte",
                        django.db.models.expressions.CombinedExpression(
                            django.db.models.expressions.CombinedExpression(
                                django.db.models.expressions.CombinedExpression(
                                    models.F("amount_minor"), "-", models.F("set_off_minor")
                                ),
                                "-",
                                models.F("reversal_target_minor"),
                            ),
                            "+",
                            models.F("adopted_minor"),
                        ),
                    ),
                    ("undone_minor__gte", 0),
                    ("undone_minor__lte", models.F("set_off_minor")),
                ),
                name="transfer_given_back_once",
            ),
        ),
        migrations.AddField(
            model_name="setoff",
            name="debt",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="paid_by", to="connect.sellertransfer"
            ),
        ),
        migrations.AddField(
            model_name="setoff",
            name="transfer",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="set_offs", to="connect.sellertransfer"
            ),
        ),
        migrations.AddConstraint(
            model_name="setoff",
            constraint=models.CheckConstraint(
                condition=models.Q(("amount_minor__gt", 0)), name="set_off_takes_something"
            ),
        ),
        migrations.AddConstraint(
            model_name="setoff",
            constraint=models.CheckConstraint(
                condition=models.Q(("undone_minor__gte", 0), ("undone_minor__lte", models.F("amount_minor"))),
                name="set_off_undone_within_it",
            ),
        ),
        migrations.AddConstraint(
            model_name="setoff",
            constraint=models.CheckConstraint(
                condition=models.Q(("transfer", models.F("debt")), _negated=True), name="set_off_between_two_transfers"
            ),
        ),
    ]
