import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from veza.core.migration_operations import drop_index, without_time_limit


class Migration(migrations.Migration):
    # Rows are written while this runs. Each of these indexes had a twin that serves its queries, or no query at all.
    atomic = False
    dependencies = [
        ("payments", "0070_remember_contradicted_refunds"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterField(
                    "refund",
                    "requested_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                migrations.AlterField(
                    "writeoff",
                    "account",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="payments.ledgeraccount",
                    ),
                ),
            ]
        ),
        without_time_limit(),
        drop_index("refunds_requested_by_id_b8694016", "refunds (requested_by_id)"),
        drop_index("payments_writeoff_account_id_7b9f3872", "payments_writeoff (account_id)"),
        drop_index("payments_writeoff_account_id_7b9f3872_like", "payments_writeoff (account_id varchar_pattern_ops)"),
        drop_index(
            "payments_dispute_hyperswitch_dispute_id_541b012b_like",
            "payments_dispute (hyperswitch_dispute_id varchar_pattern_ops)",
        ),
        drop_index("payments_ledgeraccount_code_3d70f056_like", "payments_ledgeraccount (code varchar_pattern_ops)"),
        drop_index(
            "payments_payment_hyperswitch_payment_id_f0daaca4_like",
            "payments_payment (hyperswitch_payment_id varchar_pattern_ops)",
        ),
        drop_index(
            "payments_revokedmandate_mandate_id_acf8d237_like",
            "payments_revokedmandate (mandate_id varchar_pattern_ops)",
        ),
        drop_index(
            "payments_revokedmandate_payment_method_id_69488553_like",
            "payments_revokedmandate (payment_method_id varchar_pattern_ops)",
        ),
        drop_index("payments_statemententry_name_11306e88_like", "payments_statemententry (name varchar_pattern_ops)"),
    ]
