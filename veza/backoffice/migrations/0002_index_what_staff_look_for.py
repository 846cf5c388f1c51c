from django.db import migrations

# The floors below know nothing of these: they serve the back-office's lists and search alone.
BACKWARDS = ("orders", "payments_payment", "refunds", "seller_transfers", "user_subscriptions")
BY_STATUS = ("orders", "payments_payment", "refunds", "seller_transfers", "user_subscriptions")


def create():
    for table in BACKWARDS:
        yield (
            f"CREATE INDEX {table}_id_backwards ON {table} (reverse(id::text) text_pattern_ops)",
            f"DROP INDEX {table}_id_backwards",
        )
    for table in BY_STATUS:
        yield f"CREATE INDEX {table}_by_status ON {table} (status, id)", f"DROP INDEX {table}_by_status"
    yield (
        "CREATE INDEX webhook_log_not_ok ON webhook_log (id) WHERE processing_result <> 'ok'",
        "DROP INDEX webhook_log_not_ok",
    )


class Migration(migrations.Migration):
    dependencies = [
        ("backoffice", "0001_create_tables"),
        ("payments", "0005_let_late_money_arrive"),
        ("subscriptions", "0004_create_subscriptions"),
        ("marketplace", "0004_add_cart"),
        ("connect", "0002_guard_moves"),
    ]

    operations = [migrations.RunSQL(forwards, backwards) for forwards, backwards in create()]
