from django.db import migrations

from veza.core.migration_operations import create_index, drop_index, without_time_limit

# Staff look for rows that are not settled. The settled ones are most of the table: the primary key finds them.
UNSETTLED = {
    "payments_payment": ("created", "pending", "processing", "mismatched"),
    "refunds": ("pending", "failed", "bounced"),
    "seller_transfers": ("pending", "failed", "reversal_pending", "permanently_failed"),
    "user_subscriptions": ("pending_payment", "trialing", "past_due", "cancelled"),
}


def replace():
    for table, statuses in UNSETTLED.items():
        names = ", ".join(f"'{status}'" for status in statuses)
        yield create_index(f"{table}_unsettled_status", f"{table} (status, id) WHERE status IN ({names})")
        yield drop_index(f"{table}_by_status", f"{table} (status, id)")
    # From PostgreSQL 16 on, a BRIN index is the one kind that lets an order be completed without new index entries.
    yield create_index(
        "orders_status", "orders USING brin (status text_bloom_ops) WITH (pages_per_range = 32, autosummarize = on)"
    )
    yield drop_index("orders_by_status", "orders (status, id)")


class Migration(migrations.Migration):
    # Rows are written while this runs.
    atomic = False
    dependencies = [
        ("backoffice", "0007_drop_twin_indexes"),
        ("payments", "0080_drop_twin_indexes"),
        ("subscriptions", "0021_drop_twin_indexes"),
        ("marketplace", "0007_drop_twin_indexes"),
        ("connect", "0041_drop_twin_indexes"),
    ]

    operations = [without_time_limit(), *replace()]
