from django.db import migrations

from veza.core.migration_operations import AppendOnly, GuardMoves


class Migration(migrations.Migration):
    dependencies = [("payments", "0001_create_tables"), ("core", "0002_create_guards")]

    operations = [
        GuardMoves(
            "payments_payment",
            [
                "cancelled>mismatched",
                "cancelled>processing",
                "cancelled>succeeded",
                "created>cancelled",
                "created>failed",
                "created>mismatched",
                "created>pending",
                "created>processing",
                "created>succeeded",
                "failed>mismatched",
                "failed>processing",
                "failed>succeeded",
                "mismatched>cancelled",
                "mismatched>succeeded",
                "pending>cancelled",
                "pending>failed",
                "pending>mismatched",
                "pending>processing",
                "pending>succeeded",
                "processing>cancelled",
                "processing>failed",
                "processing>mismatched",
                "processing>succeeded",
                "succeeded>mismatched",
            ],
        ),
        GuardMoves(
            "refunds",
            [
                "bounced>succeeded",
                "failed>bounced",
                "failed>succeeded",
                "pending>failed",
                "pending>succeeded",
                "succeeded>bounced",
            ],
        ),
        AppendOnly("payments_posting"),
    ]
