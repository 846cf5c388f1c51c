import django.db.models.deletion
from django.db import migrations, models

import veza.core.ids


class Migration(migrations.Migration):
    dependencies = [("payments", "0061_let_voids_be_refunds")]

    operations = [
        migrations.CreateModel(
            name="ForeignReceipt",
            fields=[
                (
                    "id",
                    models.UUIDField(default=veza.core.ids.new_id, editable=False, primary_key=True, serialize=False),
                ),
                ("currency", models.CharField(max_length=3)),
                ("received_minor", models.BigIntegerField()),
                (
                    "payment",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="foreign_receipts",
                        to="payments.payment",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(received_minor__gt=0), name="foreign_receipt_amount_positive"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(currency__regex="^[A-Z]{3}$"), name="foreign_receipt_currency_code"
                    ),
                    models.UniqueConstraint(fields=["payment", "currency"], name="one_foreign_receipt_per_currency"),
                ],
            },
        ),
    ]
