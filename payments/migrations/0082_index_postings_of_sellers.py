import django.db.models.deletion
from django.db import migrations, models

from veza.core.migration_operations import create_index, drop_index, without_time_limit


def account(related_name):
    return models.ForeignKey(
        db_index=False,
        on_delete=django.db.models.deletion.PROTECT,
        related_name=related_name,
        to="payments.ledgeraccount",
    )


class Migration(migrations.Migration):
    # Postings are written while this runs.
    atomic = False
    dependencies = [("payments", "0081_number_postings_by_transaction")]

    operations = [
        without_time_limit(),
        create_index(
            "posting_credit_of_seller",
            "payments_posting (credit_id, xact_id) WHERE credit_id::text LIKE 'seller:%'",
        ),
        create_index(
            "posting_debit_of_seller",
            "payments_posting (debit_id, xact_id) WHERE debit_id::text LIKE 'seller:%'",
        ),
        # Rows lie in the order of their transactions: one entry for each 16 pages finds those of the last hour.
        create_index(
            "posting_transaction",
            "payments_posting USING brin (xact_id) WITH (pages_per_range = 16, autosummarize = on)",
        ),
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterField("posting", "credit", account("credits")),
                migrations.AlterField("posting", "debit", account("debits")),
            ],
        ),
        drop_index("payments_posting_credit_id_f3064cae", "payments_posting (credit_id)"),
        drop_index("payments_posting_credit_id_f3064cae_like", "payments_posting (credit_id varchar_pattern_ops)"),
        drop_index("payments_posting_debit_id_28357804", "payments_posting (debit_id)"),
        drop_index("payments_posting_debit_id_28357804_like", "payments_posting (debit_id varchar_pattern_ops)"),
    ]
