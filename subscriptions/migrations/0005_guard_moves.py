from django.db import migrations

from veza.core.migration_operations import AppendOnly, GuardMoves


class Migration(migrations.Migration):
    dependencies = [("subscriptions", "0004_create_subscriptions"), ("core", "0002_create_guards")]

    operations = [
        GuardMoves(
            "user_subscriptions",
            [
                "active>cancelled",
                "active>expired",
                "active>past_due",
                "expired>active",
                "past_due>active",
                "past_due>cancelled",
                "past_due>expired",
                "pending_payment>active",
                "pending_payment>cancelled",
                "pending_payment>expired",
                "trialing>active",
                "trialing>cancelled",
                "trialing>expired",
                "trialing>past_due",
            ],
        ),
        GuardMoves(
            "subscription_invoices",
            [
                "failed>paid",
                "failed>void",
                "paid>refunded",
                "pending>failed",
                "pending>paid",
                "pending>void",
                "refunded>paid",
            ],
        ),
        AppendOnly("subscriptions_unpaidsubscriptionaudit"),
    ]
