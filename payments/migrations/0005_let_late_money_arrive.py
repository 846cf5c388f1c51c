from django.db import migrations, models


class Migration(migrations.Migration):
    """Money on a payment thought dead was refused while a newer payment of the same purpose stood."""

    dependencies = [("payments", "0004_keep_payment_methods")]

    operations = [
        migrations.RemoveConstraint(model_name="payment", name="one_payment_alive_per_purpose"),
        migrations.AddConstraint(
            model_name="payment",
            constraint=models.UniqueConstraint(
                fields=["purpose", "purpose_id"],
                condition=models.Q(status__in=("created", "pending")),
                name="one_payment_alive_per_purpose",
            ),
        ),
    ]
