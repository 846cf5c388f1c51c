import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from veza.core.migration_operations import drop_index, without_time_limit


class Migration(migrations.Migration):
    # Rows are written while this runs. Each of these indexes had a twin that serves its queries, or no query at all.
    atomic = False
    dependencies = [("connect", "0040_wait_for_payments"), migrations.swappable_dependency(settings.AUTH_USER_MODEL)]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterField(
                    "sellerpayout",
                    "seller",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="payouts",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                migrations.AlterField(
                    "sellertransfer",
                    "order",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="transfers",
                        to="marketplace.order",
                    ),
                ),
                migrations.AlterField(
                    "sellertransfer",
                    "seller",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="transfers",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ]
        ),
        without_time_limit(),
        drop_index("seller_payouts_seller_id_986ad3fe", "seller_payouts (seller_id)"),
        drop_index("seller_transfers_order_id_c98f6b41", "seller_transfers (order_id)"),
        drop_index("seller_transfers_seller_id_c97e21dc", "seller_transfers (seller_id)"),
        drop_index(
            "connect_connectedaccount_stripe_account_id_83f35a2c_like",
            "connect_connectedaccount (stripe_account_id varchar_pattern_ops)",
        ),
        drop_index(
            "seller_transfer_reversals_key_ec597c1c_like", "seller_transfer_reversals (key varchar_pattern_ops)"
        ),
        drop_index(
            "seller_transfer_reversals_stripe_reversal_id_0a292c90_like",
            "seller_transfer_reversals (stripe_reversal_id varchar_pattern_ops)",
        ),
    ]
