from django.db import migrations

from veza.core.migration_operations import GuardMoves


class Migration(migrations.Migration):
    dependencies = [("connect", "0005_add_payouts")]

    operations = [
        GuardMoves(
            "seller_payouts",
            [
                "in_transit>cancelled",
                "in_transit>failed",
                "in_transit>paid",
                "paid>failed",
                "pending>cancelled",
                "pending>failed",
                "pending>in_transit",
                "pending>paid",
            ],
        ),
    ]
